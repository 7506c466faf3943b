// Keeps Victron's GX devices publishing: which of them are there, and which are to be told again.

import PayloadDecoding

/// The devices of one worker's sources.
package struct KeepAlives {
  /// Half of what a device waits, so that one message may be lost.
  package static let interval = Duration.seconds(30)
  /// Anybody may publish names of portals: no more are told.
  static let mostPortals = 10_000
  /// Beyond the first message, whose answer is all that the device knows, only changes are wanted.
  package static let onlyChanges = Array(#"{"keepalive-options":["suppress-republish"]}"#.utf8)

  private var followed: SourceTable?
  private var places: [KeepAliveTopic] = []
  /// When each was told last, by its topic; nil: never on this connection.
  private var told: [String: ContinuousClock.Instant?] = [:]
  private var lookedAt = ContinuousClock.now - .seconds(1)

  package init() {}

  /// A new connection: what the devices know now is wanted.
  package mutating func reset() {
    for topic in told.keys { told[topic] = .some(nil) }
    followed = nil
  }

  /// Takes the sources.
  ///
  /// - Returns: filters of topics by which devices are found: those to be listened to, and those that
  ///   no source needs any more.
  package mutating func follow(_ sources: SourceTable) -> (added: [String], ended: [String]) {
    guard sources !== followed else { return ([], []) }
    let known = followed == nil ? [] : unnamedPortals
    followed = sources
    places = sources.keepAlives
    let heads = Set(places.map(\.head))
    told = told.filter { topic, _ in
      heads.contains { topic.hasPrefix($0.dropLast(2) + "R/") }
    }
    for place in places {
      if let portal = place.portal { add(place.topic(of: portal)) }
    }
    let found = unnamedPortals
    return (found.subtracting(known).sorted(), known.subtracting(found).sorted())
  }

  /// Filters by which devices that no source names are found.
  private var unnamedPortals: Set<String> {
    Set(places.filter { $0.portal == nil }.map(\.serials))
  }

  /// Hears a message: its portal is there.
  ///
  /// - Returns: whether it is one by which devices are found, and of no other interest.
  package mutating func hear(_ topic: UnsafeRawBufferPointer) -> Bool {
    for place in places where place.portal == nil {
      let head = place.head.utf8
      guard topic.count > head.count, topic.prefix(head.count).elementsEqual(head) else { continue }
      let rest = topic.dropFirst(head.count)
      let name = rest.prefix { $0 != UInt8(ascii: "/") }
      // A portal id is a MAC address; whatever else is short and plain is taken as well.
      guard (1...32).contains(name.count), name.allSatisfy(\.isLetterOrDigit) else { continue }
      add(place.topic(of: String(decoding: name, as: UTF8.self)))
      return rest.dropFirst(name.count).elementsEqual(KeepAliveTopic.serial.utf8)
    }
    return false
  }

  private mutating func add(_ topic: String) {
    if told[topic] == nil, told.count < KeepAlives.mostPortals { told[topic] = .some(nil) }
  }

  /// Topics of the devices that are to be told now, with the payload; looked up once a second.
  package mutating func due(_ now: ContinuousClock.Instant) -> [(topic: String, payload: [UInt8])] {
    guard !told.isEmpty, now - lookedAt >= .seconds(1) else { return [] }
    lookedAt = now
    var due: [(topic: String, payload: [UInt8])] = []
    for (topic, last) in told {
      if let last, now - last < KeepAlives.interval { continue }
      due.append((topic, last == nil ? [] : KeepAlives.onlyChanges))
    }
    for (topic, _) in due { told[topic] = .some(now) }
    return due
  }
}

extension UInt8 {
  fileprivate var isLetterOrDigit: Bool {
    self &- UInt8(ascii: "0") < 10 || (self | 0x20) &- UInt8(ascii: "a") < 26
  }
}
