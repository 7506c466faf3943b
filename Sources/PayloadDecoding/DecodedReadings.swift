// What a message turned out to hold: readings and rejections, each with its place in the payload.

import EnergyReadings

/// One message as it arrived, its bytes in the batch's arena.
public struct Message: Sendable {
  public var topic: ByteSlice
  public var payload: ByteSlice
  public var receivedAt: Timestamp
  /// Length of the payload as it arrived, bytes; more than `payload` holds where it was too long.
  public var payloadBytes: Int
  /// Whether it has just been heard. One that is tried again says nothing about the present.
  public var isLive = true

  /// - Parameter payloadBytes: nil where `payload` is whole.
  public init(
    topic: ByteSlice, payload: ByteSlice, receivedAt: Timestamp, payloadBytes: Int? = nil
  ) {
    self.topic = topic
    self.payload = payload
    self.receivedAt = receivedAt
    self.payloadBytes = payloadBytes ?? Int(payload.count)
  }
}

/// A message that is to be published: what a format asks of who publishes.
public struct MessageRequest: Sendable, Equatable {
  public var topic: String
  public var payload: [UInt8]
}

/// Where in a message a reading stands.
public struct ReadingPlace: Sendable {
  /// Position among several readings of one payload, nil where the payload is one reading.
  public var index: Int32?
  /// The reading's own bytes.
  public var text: ByteSlice

  public init(index: Int32?, text: ByteSlice) {
    self.index = index
    self.text = text
  }
}

/// Readings and rejections of one message. Reused from message to message.
public struct DecodedReadings {
  public struct Accepted {
    public var reading: Reading
    public var place: ReadingPlace
  }

  /// A running total, or power, which becomes an interval in the database's keeping.
  public struct Sampled {
    public var sample: RegisterSample
    public var place: ReadingPlace
  }

  /// What a battery holds.
  public struct Charged {
    public var charge: ReportedCharge
    public var place: ReadingPlace
  }

  public struct Rejected {
    public var rejection: Rejection
    public var place: ReadingPlace
    /// The kind that the topic names, nil where it names none.
    public var kind: ReadingKind?
    public var device: ByteSlice
  }

  /// Settable, so that a reading is completed where it stands.
  public package(set) var accepted: [Accepted] = []
  public internal(set) var samples: [Sampled] = []
  public internal(set) var charges: [Charged] = []
  public internal(set) var rejected: [Rejected] = []
  /// Fields of own-format readings that no column takes.
  public internal(set) var unknownFields = 0
  /// What the message makes necessary to ask for.
  public internal(set) var requests: [MessageRequest] = []
  /// What was left out without being an error, by ``SkipReason/rawValue``: no reading was found, so
  /// that it is in no ledger. A message that is not for the source counts as one.
  public private(set) var skips: InlineArray<5, Int> = .init(repeating: 0)
  /// The device that the message is about, as soon as it is known.
  var device: ByteSlice = .absent

  public init() {}

  /// Whether there is anything but accepted readings.
  public var holdsOthers: Bool { !samples.isEmpty || !charges.isEmpty || !rejected.isEmpty }

  mutating func removeAll() {
    accepted.removeAll(keepingCapacity: true)
    samples.removeAll(keepingCapacity: true)
    charges.removeAll(keepingCapacity: true)
    rejected.removeAll(keepingCapacity: true)
    if !requests.isEmpty { requests.removeAll() }
    unknownFields = 0
    skips = .init(repeating: 0)
    device = .absent
  }

  /// All that was left out.
  public var skipped: Int { SkipReason.allCases.reduce(0) { $0 + skips[Int($1.rawValue)] } }

  mutating func skip(_ reason: SkipReason, by count: Int = 1) {
    skips[Int(reason.rawValue)] += count
  }

  /// Adds a sample, or the rejection that it became.
  mutating func take(
    _ place: ReadingPlace, kind: ReadingKind?,
    _ sample: () throws(Rejection) -> RegisterSample?
  ) {
    do throws(Rejection) {
      if let sample = try sample() {
        samples.append(Sampled(sample: sample, place: place))
      } else {
        skip(.noValue)
      }
    } catch {
      rejected.append(Rejected(rejection: error, place: place, kind: kind, device: device))
    }
  }
}
