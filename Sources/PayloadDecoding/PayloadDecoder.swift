// One message in, its readings out: finds the format by the topic and hands the payload to it.

import EnergyReadings

/// Decodes messages of every format this program knows. One per worker; not thread-safe.
public struct PayloadDecoder {
  /// Largest document, bytes: 1 MiB.
  public static let maximumPayload = 1 << 20
  /// Most readings in one payload.
  public static let maximumReadings = 10_000

  let parser: JSONParser
  /// Of the own format.
  let fields: ReadingFields

  public init() {
    parser = JSONParser()
    fields = ReadingFields(parser)
  }

  /// Decodes `message`, whose bytes stand in `arena`; `decoded` is emptied first.
  ///
  /// - Parameter sources: those of the configuration, besides the topics that are always there.
  public func decode(
    _ message: Message, from sources: SourceTable = .none, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) {
    decoded.removeAll()
    let route = TopicRoute(topic: message.topic, in: arena)
    let whole = ReadingPlace(index: nil, text: message.payload)
    do throws(Rejection) {
      switch route {
      case .own(let kind, let gridCode, let device):
        try check(message, device: device, gridCode: gridCode, in: arena)
        let frame = Reading(kind: kind, device: device, gridCode: gridCode)
        try decodeOwn(message.payload, as: frame, in: &arena, into: &decoded)
      case .ami(let device):
        try check(message, device: device, gridCode: .absent, in: arena)
        try decodeAMI(message.payload, device: device, in: &arena, into: &decoded)
      case .amiTwin:
        throw Rejection(
          .unsupportedFormat,
          detail: "the binary twin of an AMI reading, which arrives as JSON on the topic above")
      case .ingestorStatus:
        return
      case .unknown:
        try decodeSourced(message, from: sources, in: &arena, into: &decoded)
      }
    } catch {
      let device = route.device.isPresent ? route.device : decoded.device
      decoded.rejected.append(
        .init(rejection: error, place: whole, kind: route.kind, device: device))
    }
  }

  /// Decodes a message of one of the configuration's sources.
  private func decodeSourced(
    _ message: Message, from sources: SourceTable, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    let levels = TopicLevels(message.topic, in: arena)
    guard let source = sources.source(of: levels, in: arena) else {
      throw Rejection(
        .unknownTopic,
        detail: "expected gridtokenx/v1/<grid_code>/production|consumption|storage/<device_id>"
          + (sources.sources.isEmpty ? "" : " or a topic of ingest.sources"))
    }
    // Bridges publish nothing for a value that is gone, and to clear what the broker retains.
    if message.payloadBytes == 0 {
      decoded.skip(.emptyPayload)
      return
    }
    let heard = SourcedMessage(
      message: message, source: source, levels: levels, memory: sources.memory)
    do throws(Rejection) {
      try checkSize(message, in: arena)
      try source.format.decode(heard, with: parser, in: &arena, into: &decoded)
    } catch {
      decoded.rejected.append(
        .init(rejection: error, place: heard.place, kind: nil, device: decoded.device))
    }
    nameRejected(heard, in: &arena, &decoded)
  }

  /// What was turned away before its device was looked for is the topic's device's all the same.
  private func nameRejected(
    _ heard: borrowing SourcedMessage, in arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) {
    guard decoded.rejected.contains(where: { !$0.device.isPresent }) else { return }
    if case .payload = heard.source.device { return }
    let own = heard.source.format.nameInTopic(heard, in: &arena)
    // One without a name that a column could hold stays without.
    guard let device = try? heard.device(own: own, with: parser, in: &arena) else { return }
    for index in decoded.rejected.indices where !decoded.rejected[index].device.isPresent {
      decoded.rejected[index].device = device
    }
  }

  /// What every payload must be before its format is looked at.
  private func check(
    _ message: Message, device: ByteSlice, gridCode: ByteSlice, in arena: borrowing ByteArena
  ) throws(Rejection) {
    try checkTopicLevel(arena[device], named: "device id", limit: 100)
    try checkTopicLevel(arena[gridCode], named: "grid code", limit: 20)
    if message.payloadBytes == 0 {
      throw Rejection(.malformedPayload, path: "$", detail: "the payload is empty")
    }
    try checkSize(message, in: arena)
  }

  private func checkSize(
    _ message: Message, in arena: borrowing ByteArena
  ) throws(Rejection) {
    if message.payloadBytes > PayloadDecoder.maximumPayload {
      throw Rejection(
        .malformedPayload, path: "$",
        detail: "the payload has \(message.payloadBytes) bytes; at most 1048576 are taken")
    }
    let bytes = arena[message.payload]
    if bytes.count > 1, bytes[0] == 0x1F, bytes[1] == 0x8B {
      throw Rejection(.unsupportedFormat, detail: "gzip; publish the JSON itself")
    }
  }

  private func checkTopicLevel(
    _ level: Span<UInt8>, named name: String, limit: Int
  ) throws(Rejection) {
    if level.count > limit, level.characterCount > limit {
      throw Rejection(
        .outOfRange, path: "topic", detail: "the \(name) has more than \(limit) characters")
    }
    for index in level.indices where level[index] < 0x20 || level[index] == 0x7F {
      throw Rejection(.outOfRange, path: "topic", detail: "the \(name) has a control character")
    }
  }
}

extension TopicRoute {
  fileprivate var kind: ReadingKind? {
    if case .own(let kind, _, _) = self { kind } else { nil }
  }

  fileprivate var device: ByteSlice {
    switch self {
    case .own(_, _, let device), .ami(let device), .amiTwin(let device): device
    case .ingestorStatus, .unknown: .absent
    }
  }
}

extension Rejection {
  /// A document that is no JSON.
  init(_ error: JSONError) {
    let what =
      switch error.code {
      case .empty: "the payload is empty"
      case .tooDeep: "nested deeper than 32 levels"
      case .invalidUTF8: "invalid UTF-8"
      case .trailing: "something follows the JSON document"
      case .badNumber: "not a JSON number"
      case .badString: "a string with an escape that JSON does not have"
      case .syntax: "not JSON"
      }
    self.init(.malformedPayload, path: "$", detail: "\(what), near byte \(error.offset)")
  }
}

extension Span where Element == UInt8 {
  /// Unicode scalars in valid UTF-8, as PostgreSQL counts `varchar(n)`.
  var characterCount: Int {
    var continuations = 0
    for index in indices where self[index] & 0xC0 == 0x80 { continuations += 1 }
    return count - continuations
  }
}
