// One libpq connection, used by one thread. Pointers of libpq are confined to this file.

import CLibpq
import EnergyReadings

/// A connection that blocks the calling thread; never call it on a cooperative thread.
public final class PostgresConnection {
  private let raw: OpaquePointer
  /// Host, port and database, for messages.
  public let target: String

  /// Connects.
  ///
  /// - Parameters:
  ///   - url: a libpq URI or keyword string (manual, 34.1.1).
  ///   - applicationName: what `pg_stat_activity` shows.
  ///   - connectTimeout: seconds for each host, 2 or more (libpq's own minimum).
  /// - Throws: ``PostgresError`` naming host and port.
  public init(
    url: String, applicationName: String = "meter-ingestor", connectTimeout: Int = 5
  ) throws(PostgresError) {
    target = try PostgresConnection.target(of: url)
    let settings = [
      ("fallback_application_name", applicationName), ("connect_timeout", "\(connectTimeout)"),
      ("client_encoding", "UTF8"), ("keepalives_idle", "30"), ("keepalives_interval", "10"),
      ("tcp_user_timeout", "30000"), ("dbname", url),
    ]
    let connection = withCStrings(settings.map(\.0)) { keywords in
      withCStrings(settings.map(\.1)) { values in
        PQconnectdbParams(keywords, values, 1)
      }
    }
    guard let connection else {
      throw PostgresError(message: "out of memory", target: target, operation: "connect")
    }
    raw = connection
    guard PQstatus(connection) == CONNECTION_OK else {
      throw connectFailure()
    }
    // Notices go nowhere unless somebody asks for them; libpq's default is to print them.
    PQsetNoticeProcessor(connection, { _, _ in }, nil)
  }

  deinit { PQfinish(raw) }

  /// libpq reports no SQLSTATE for a failed connection; whether the server asked for a password
  /// is what tells a refused login from a server that is not there.
  private func connectFailure() -> PostgresError {
    let text = String(cString: PQerrorMessage(raw)).trimmed
    var error = PostgresError(message: text, target: target, operation: "connect")
    if PQconnectionNeedsPassword(raw) == 1 || PQconnectionUsedPassword(raw) == 1 {
      error.sqlState = "28P01"
    }
    return error
  }

  /// Host, port and database of a URL, without its password.
  public static func target(of url: String) throws(PostgresError) -> String {
    let values = parse(url)
    guard let values, !mistakesPassword(values, in: url) else {
      // libpq's own message would repeat the URL, and with it the password.
      throw PostgresError(
        sqlState: "08001",
        message: "not a valid libpq URI; expected postgresql://user@host:port/db, "
          + "with @ and / of a password written as %40 and %2F",
        target: "POSTGRES_URL", operation: "connect")
    }
    let host = values["host"] ?? values["hostaddr"] ?? "local socket"
    return "\(host):\(values["port"] ?? "5432")/\(values["dbname"] ?? values["user"] ?? "")"
  }

  /// The options that a URL sets, or nil where it is none.
  private static func parse(_ url: String) -> [String: String]? {
    guard let options = PQconninfoParse(url, nil) else { return nil }
    defer { PQconninfoFree(options) }
    var values: [String: String] = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val {
        values[String(cString: keyword)] = String(cString: value)
      }
      option += 1
    }
    return values
  }

  /// Whether a part of the password stands where messages show it: libpq ends it at the first `@`,
  /// or reads `user:password` as host and port where a `/` precedes that or the `@` is missing.
  private static func mistakesPassword(_ values: [String: String], in url: String) -> Bool {
    guard url.contains("://") else { return false }
    let port = values["port"] ?? ""
    // A host that begins with @ is an abstract socket (manual, 34.1.2).
    let host = (values["host"] ?? "").dropFirst()
    return host.contains("@") || port.contains { !$0.isNumber && $0 != "," }
      || (values["dbname"] ?? "").contains("@")
  }

  /// Whether the server has hung up or the socket failed.
  public var isBroken: Bool { PQstatus(raw) != CONNECTION_OK }

  /// The server's version, such as 150018.
  public var serverVersion: Int { Int(PQserverVersion(raw)) }

  /// The connection's socket, to wait on for notifications.
  public var socket: Int32 { PQsocket(raw) }

  /// Runs statements without parameters and ignores their rows.
  public func execute(_ sql: String, as operation: String? = nil) throws(PostgresError) {
    _ = try Result(PQexec(raw, sql), of: self, operation ?? sql.firstWords)
  }

  /// Runs one statement with parameters in text form and returns its rows as text.
  @discardableResult
  public func query(
    _ sql: String, _ parameters: [String?] = [], as operation: String? = nil
  ) throws(PostgresError) -> [[String?]] {
    let pointer = withCStrings(parameters) { values in
      PQexecParams(raw, sql, Int32(parameters.count), nil, values, nil, nil, 0)
    }
    return try Result(pointer, of: self, operation ?? sql.firstWords).rows
  }

  /// Runs one statement with arrays as its parameters, and hands each row's fields, in binary form,
  /// to `body`.
  ///
  /// - Returns: the number of rows it returned or changed.
  @discardableResult
  func query(
    _ sql: String, arrays: [ArrayParameter], as operation: String,
    _ body: (borrowing BinaryRow) -> Void = { _ in }
  ) throws(PostgresError) -> Int {
    let lengths = arrays.map { Int32($0.bytes.count) }
    let formats = [Int32](repeating: 1, count: arrays.count)
    let pointer = withBytes(arrays.map(\.bytes)[...], []) { values in
      PQexecParams(raw, sql, Int32(arrays.count), nil, values, lengths, formats, 1)
    }
    let result = try Result(pointer, of: self, operation)
    for row in 0..<PQntuples(result.raw) { body(BinaryRow(result, row)) }
    return result.affectedRows
  }

  /// Runs one statement and hands each row's fields, borrowed, to `body`; for large results.
  public func forEachRow(
    _ sql: String, _ body: (borrowing PostgresRow) -> Void
  ) throws(PostgresError) {
    let operation = sql.firstWords
    guard PQsendQuery(raw, sql) == 1, PQsetSingleRowMode(raw) == 1 else {
      throw failure(operation: operation)
    }
    // Every result is taken, also after an error, or the connection is not free again.
    var problem: PostgresError?
    while let pointer = PQgetResult(raw) {
      do throws(PostgresError) {
        let result = try Result(pointer, of: self, operation)
        if PQntuples(pointer) == 1 { body(PostgresRow(result)) }
      } catch {
        problem = problem ?? error
      }
    }
    if let problem { throw problem }
  }

  /// Streams `data`, a complete binary COPY, into `COPY … FROM STDIN`.
  ///
  /// - Returns: rows that PostgreSQL took.
  @discardableResult
  func copyIn(_ sql: String, _ data: UnsafeRawBufferPointer) throws(PostgresError) -> Int {
    try copyIn(sql) { put in Self.send(data, put) }
  }

  /// Hands over `data` in pieces of ``copyChunk``, until `put` says that no more is wanted.
  static func send(_ data: UnsafeRawBufferPointer, _ put: (UnsafeRawBufferPointer) -> Bool) {
    var rest = data[...]
    while !rest.isEmpty, put(UnsafeRawBufferPointer(rebasing: rest.prefix(copyChunk))) {
      rest = rest.dropFirst(copyChunk)
    }
  }

  /// Streams the pieces of a binary COPY into `COPY … FROM STDIN`.
  ///
  /// - Parameter body: hands over one piece after the other, each of ``copyChunk`` or about; false says
  ///   that the rest is not wanted any more, and the statement's result will say why.
  /// - Returns: rows that PostgreSQL took.
  func copyIn(
    _ sql: String, _ body: (_ put: (UnsafeRawBufferPointer) -> Bool) -> Void
  ) throws(PostgresError) -> Int {
    _ = try Result(PQexec(raw, sql), of: self, sql.firstWords)
    body { piece in
      // libpq copies the bytes before it returns. A failure shows in the final result.
      let start = piece.baseAddress?.assumingMemoryBound(to: CChar.self)
      return PQputCopyData(raw, start, Int32(piece.count)) == 1
    }
    _ = PQputCopyEnd(raw, nil)
    let result = try Result(PQgetResult(raw), of: self, sql.firstWords)
    while let extra = PQgetResult(raw) { PQclear(extra) }
    return result.affectedRows
  }

  /// 64 KiB: larger chunks are no faster, smaller ones cost calls.
  static let copyChunk = 65_536

  /// Runs `body` within BEGIN and COMMIT; an error rolls back and is thrown on.
  public func transaction<Value>(
    _ body: () throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    try execute("BEGIN", as: "begin")
    do throws(PostgresError) {
      let value = try body()
      // COMMIT of a failed transaction answers ROLLBACK: only the tag tells.
      let result = try Result(PQexec(raw, "COMMIT"), of: self, "commit")
      guard result.commandTag == "COMMIT" else {
        throw PostgresError(
          sqlState: "25P02", message: "the transaction was rolled back", target: target,
          operation: "commit")
      }
      return value
    } catch {
      if !isBroken { try? execute("ROLLBACK", as: "rollback") }
      throw error
    }
  }

  /// Notifications that have arrived, by channel; does not wait.
  public func notifications() throws(PostgresError) -> [String] {
    guard PQconsumeInput(raw) == 1 else { throw failure(operation: "listen") }
    var channels: [String] = []
    while let notification = PQnotifies(raw) {
      channels.append(String(cString: notification.pointee.relname))
      PQfreemem(notification)
    }
    return channels
  }

  /// Calls `body` with each line that the server says besides results, from now on.
  public func onNotice(_ body: @escaping (String) -> Void) {
    let box = NoticeBox(body)
    noticeBox = box
    // Unretained: the connection owns the box and outlives the registration.
    PQsetNoticeProcessor(
      raw,
      { context, text in
        guard let context, let text else { return }
        Unmanaged<NoticeBox>.fromOpaque(context).takeUnretainedValue().body(
          String(cString: text).trimmed)
      }, Unmanaged.passUnretained(box).toOpaque())
  }

  private var noticeBox: NoticeBox?

  fileprivate func failure(operation: String) -> PostgresError {
    PostgresError(
      message: String(cString: PQerrorMessage(raw)).trimmed, target: target, operation: operation)
  }
}

private final class NoticeBox {
  let body: (String) -> Void
  init(_ body: @escaping (String) -> Void) { self.body = body }
}

/// One row of a result, valid during the call that lends it.
public struct PostgresRow: ~Copyable {
  private let result: Result

  fileprivate init(_ result: Result) { self.result = result }

  /// The text of a column, nil for NULL.
  public func withText<Value>(_ column: Int, _ body: (Span<UInt8>?) -> Value) -> Value {
    let column = Int32(column)
    guard PQgetisnull(result.raw, 0, column) == 0, let text = PQgetvalue(result.raw, 0, column)
    else { return body(nil) }
    let bytes = UnsafeRawBufferPointer(
      start: text, count: Int(PQgetlength(result.raw, 0, column)))
    return bytes.withMemoryRebound(to: UInt8.self) { body($0.span) }
  }

  /// The text of a column as a string, nil for NULL.
  public func string(_ column: Int) -> String? { withText(column) { $0?.text } }
}

/// One row of a result in binary form, valid during the call that lends it.
struct BinaryRow: ~Copyable {
  private let result: Result
  private let row: Int32

  fileprivate init(_ result: Result, _ row: Int32) {
    self.result = result
    self.row = row
  }

  /// A `bigint`, or microseconds since 2000-01-01 of a `timestamptz`; nil for NULL.
  func int64(_ column: Int) -> Int64? {
    withBytes(column) { bytes in
      bytes.count == 8 ? Int64(bigEndian: bytes.loadUnaligned(as: Int64.self)) : nil
    }
  }

  func timestamp(_ column: Int) -> Timestamp? { int64(column).map(Timestamp.init(sinceY2K:)) }

  func text(_ column: Int) -> String? {
    withBytes(column) { String(decoding: $0, as: UTF8.self) }
  }

  func version(_ column: Int) -> RowVersion? {
    withBytes(column) { bytes in
      guard bytes.count == 6 else { return nil }
      return RowVersion(
        block: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)),
        offset: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
    }
  }

  private func withBytes<Value>(
    _ column: Int, _ body: (UnsafeRawBufferPointer) -> Value?
  ) -> Value? {
    let column = Int32(column)
    guard PQgetisnull(result.raw, row, column) == 0,
      let start = PQgetvalue(result.raw, row, column)
    else { return nil }
    return body(
      UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result.raw, row, column))))
  }
}

/// A result of libpq that frees itself; creating it checks the status.
private final class Result {
  let raw: OpaquePointer

  init(
    _ raw: OpaquePointer?, of connection: PostgresConnection, _ operation: String
  ) throws(PostgresError) {
    guard let raw else { throw connection.failure(operation: operation) }
    self.raw = raw
    switch PQresultStatus(raw) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE, PGRES_COPY_IN, PGRES_EMPTY_QUERY:
      return
    default:
      var error = PostgresError(
        sqlState: field(DiagnosticField.sqlState),
        message: field(DiagnosticField.message)
          ?? String(cString: PQresultErrorMessage(raw)).trimmed,
        constraint: field(DiagnosticField.constraint), target: connection.target,
        operation: operation)
      error.detail = field(DiagnosticField.detail)
      throw error
    }
  }

  deinit { PQclear(raw) }

  private func field(_ code: Character) -> String? {
    guard let ascii = code.asciiValue else { return nil }
    return PQresultErrorField(raw, Int32(ascii)).map { String(cString: $0) }
  }

  var rows: [[String?]] {
    (0..<PQntuples(raw)).map { row in
      (0..<PQnfields(raw)).map { column in
        PQgetisnull(raw, row, column) == 1 ? nil : String(cString: PQgetvalue(raw, row, column))
      }
    }
  }

  var affectedRows: Int { Int(String(cString: PQcmdTuples(raw))) ?? 0 }
  var commandTag: String { String(cString: PQcmdStatus(raw)) }
}

/// PG_DIAG_… of postgres_ext.h, which are character macros that Swift does not import.
private enum DiagnosticField {
  static let sqlState: Character = "C"
  static let message: Character = "M"
  static let detail: Character = "D"
  static let constraint: Character = "n"
}

/// Lends an array of C strings, ended by NULL, for the length of a call.
private func withCStrings<Value>(
  _ strings: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value
) -> Value {
  let copies = strings.map { $0.map { Array($0.utf8CString) } }
  return withPointers(copies[...], []) { pointers in
    (pointers + [nil]).withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { preconditionFailure("never empty") }
      return body(start)
    }
  }
}

private func withPointers<Value>(
  _ strings: ArraySlice<[CChar]?>, _ pointers: [UnsafePointer<CChar>?],
  _ body: ([UnsafePointer<CChar>?]) -> Value
) -> Value {
  guard let first = strings.first else { return body(pointers) }
  guard let first else { return withPointers(strings.dropFirst(), pointers + [nil], body) }
  return first.withUnsafeBufferPointer {
    withPointers(strings.dropFirst(), pointers + [$0.baseAddress], body)
  }
}

/// Lends several blocks of bytes for the length of a call.
private func withBytes<Value>(
  _ blocks: ArraySlice<[UInt8]>, _ pointers: [UnsafePointer<CChar>?],
  _ body: ([UnsafePointer<CChar>?]) -> Value
) -> Value {
  guard let first = blocks.first else { return body(pointers) }
  return first.withUnsafeBytes { bytes in
    let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    return withBytes(blocks.dropFirst(), pointers + [start], body)
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = Substring(self)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text.split(separator: "\n").joined(separator: "; ")
  }

  /// The beginning of a statement, for messages.
  fileprivate var firstWords: String {
    let words = split(whereSeparator: \.isWhitespace).prefix(3).joined(separator: " ")
    return words.count > 60 ? words.prefix(60) + "…" : words
  }
}
