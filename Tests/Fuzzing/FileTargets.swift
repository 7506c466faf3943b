// Files that people hand over: captures and registry files.

import EnergyReadings
import Foundation
import MeterSimulator
import PayloadDecoding

extension FuzzTarget {
  /// Lines and gzip streams on their way through a capture's reader.
  static func capture() throws -> FuzzTarget {
    let scratch = try ScratchFile()
    let text = try captureText()
    let corpus = try text.map { Array($0.utf8) } + [gzipped(text, in: scratch)]
    let words = [
      #"{"t_ms":"#, #""topic":""#, #""qos":"#, #""payload":""#, #""payload_b64":""#,
      #""retain":true"#, #""comment":""#, "\n", "\r\n", "\n\n", "{}", "\\u0000", "//8=", "=", "-1",
      "1e99", "null", "\u{1F}\u{8B}",
    ]
    return FuzzTarget(corpus: corpus, dictionary: words) { input in
      try scratch.write(input)
      let reader = try CaptureReader(file: scratch.path)
      var outcome = Hasher()
      var steps = 0
      while try read(reader, &outcome) {
        steps += 1
        // Deflate makes at most 1,032 bytes of one (zlib's FAQ, "maximum compression").
        if steps > 2 + input.count * 1_032 { throw FuzzFinding("lines without end") }
      }
      return outcome.finalize()
    }
  }

  /// - Returns: false at the end, or where the file itself cannot be read on.
  private static func read(_ reader: CaptureReader, _ outcome: inout Hasher) throws -> Bool {
    do {
      switch try reader.next() {
      case .end: return false
      case .broken(let problem):
        guard problem.hasPrefix(reader.place) else {
          throw FuzzFinding("a problem without its place: \(problem)")
        }
        outcome.combine(problem.dropFirst(reader.place.count).prefix(16))
      case .message:
        outcome.combine(reader.withMessage { min($0.count, 2) + min($1.count, 2) * 4 })
        outcome.combine(reader.qos)
        outcome.combine(reader.comment == nil)
        outcome.combine(reader.timeMilliseconds.signum())
      }
      return true
    } catch let error as CaptureError {
      outcome.combine("\(error.code)")
      return false
    }
  }

  private static func captureText() throws -> [String] {
    let line =
      #"{"t_ms":0,"topic":"gridtokenx/v1/BKK-07/storage/b-1","qos":1,"payload":"{\"a\":1}"}"#
    let binary =
      #"{"t_ms":17,"topic":"x","qos":0,"payload_b64":"AAH/","retain":true,"comment":"é"}"#
    return [
      line + "\n", line + "\n" + binary + "\n", binary + "\r\n\r\n" + line, "\n\n" + line,
      #"{"topic":"a\u00e9\ud83d\ude00","payload":""}"#,
    ]
  }

  private static func gzipped(_ texts: [String], in scratch: ScratchFile) throws -> [UInt8] {
    let file = scratch.path + ".gz"
    defer { try? FileManager.default.removeItem(atPath: file) }
    let writer = try CaptureWriter(file: file)
    for (time, text) in texts.enumerated() {
      try writer.write(
        CaptureRecord(timeMilliseconds: Int64(time), topic: "a/b", payload: Array(text.utf8)))
    }
    try writer.close()
    return Array(try Data(contentsOf: URL(filePath: file)))
  }

  /// Entries of a registry file are JSON that says the same when it is read once more.
  static func registryFile() throws -> FuzzTarget {
    let whole = try RegistryDocument(
      Data(contentsOf: URL(filePath: Fixtures.path("hostile-day.registry.json"))))
    var corpus = Registry.allCases.compactMap { registry in
      whole.entries.first { $0.registry == registry }.map { Array(Self.file(of: [$0]).utf8) }
    }
    corpus.append(
      Array(
        """
        kind,id,name,type,grid_code,energy_sources,capacity_kw,latitude,verified\r
        producer,p-1,"O'Neill ""Roof"", ๑",residential,G-1,solar;wind,5.5,13.7,true
        consumer,c-1,House,residential,G-1,,,,\n
        """.utf8))
    let words = [
      "null", "{}", "[]", "\"\"", "0", "-1", "1e400", "0.1", "true", ",", ":", "{", "}", "[", "]",
      #""verified":"#, #""location_json":"#, #""grid_code":"#, #""latitude":"#, #""coordinates":"#,
      #""producers":"#, #""consumers":"#, #""storages":"#, #""device_keys":"#, #""\ud800""#,
      "\"", "\r\n", "storage,", "location,", "kind,", ",id", "\u{FEFF}",
    ]
    return FuzzTarget(corpus: corpus, dictionary: words) { input in
      let document: RegistryDocument
      do {
        document = try RegistryDocument(Data(input))
      } catch let error as RegistryFileError {
        return error.problem.prefix(40).hashValue
      }
      for entry in document.entries {
        let again = try RegistryDocument(Data(Self.file(of: [entry]).utf8))
        guard again.entries.map(\.json) == [entry.json], again.entries[0].key == entry.key else {
          throw FuzzFinding("\(entry.place): read again, the entry differs")
        }
      }
      return document.entries.count << 8 | document.refused.count
    }
  }

  private static func file(of entries: [RegistryEntry]) -> String {
    let lists = Registry.allCases.map { registry in
      let list = entries.filter { $0.registry == registry }.map(\.json).joined(separator: ",")
      return "\"\(registry.list)\":[\(list)]"
    }
    return "{\(lists.joined(separator: ","))}"
  }
}

/// A file in memory where there is such a place, gone with its last reference.
private final class ScratchFile {
  let path: String
  private let descriptor: Int32

  init() throws {
    let memory = "/dev/shm"
    let folder =
      FileManager.default.isWritableFile(atPath: memory)
      ? memory : FileManager.default.temporaryDirectory.path
    path = "\(folder)/fuzz-\(UUID().uuidString)"
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw FuzzFinding("\(path): cannot be created: \(String(cString: strerror(errno)))")
    }
  }

  deinit {
    close(descriptor)
    try? FileManager.default.removeItem(atPath: path)
  }

  func write(_ bytes: [UInt8]) throws {
    guard ftruncate(descriptor, 0) == 0,
      pwrite(descriptor, bytes, bytes.count, 0) == bytes.count
    else { throw FuzzFinding("\(path): \(String(cString: strerror(errno)))") }
  }
}
