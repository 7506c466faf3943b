// Meters of one kind that publish at QoS 1, without a break, and keep a journal. A lost connection
// makes them publish again what was not acknowledged, as real ones do.

import EnergyReadings
import Foundation
import MQTTSession
import SeededRandom
import Synchronization

/// How far the meters' clocks are off, shared by all of them: -1, 0 or 1 hour.
final class MeterClock: Sendable {
  private let hours = Atomic<Int>(0)

  func set(hours value: Int) { hours.store(value, ordering: .relaxed) }

  /// The time of a meter's reading, µs since 1970. The last digit tells the clocks apart, so that no
  /// two readings of a device ever have the same time.
  func time(_ right: Int64) -> Int64 {
    let hours = Int64(hours.load(ordering: .relaxed))
    return right + hours * 3_600_000_000 + hours + 1
  }
}

/// The publisher of one kind, on a thread of its own.
final class MeterPublisher: Sendable {
  let journal: Journal
  private let settings: PublisherSettings
  private let isFinishing = Atomic(false)
  private let isAbandoned = Atomic(false)
  private let counters = Mutex((republished: 0, unheard: 0))
  private let ended = DispatchGroup()
  private let rate: Atomic<Int>

  init(kind: ReadingKind, settings: PublisherSettings) {
    journal = Journal(kind: kind, devices: MeterFleet.devices)
    self.settings = settings
    rate = Atomic(settings.readingsPerSecond)
  }

  /// Changes how many readings are published each second; what was to be published and could not be
  /// is left out.
  func pace(readingsPerSecond: Int) { rate.store(readingsPerSecond, ordering: .relaxed) }
  fileprivate var pace: Int { rate.load(ordering: .relaxed) }

  /// Messages published again after a lost connection.
  var republished: Int { counters.withLock { $0.republished } }
  /// Messages published again because the broker said that nobody was subscribed to them.
  var unheard: Int { counters.withLock { $0.unheard } }

  func start() {
    ended.enter()
    let thread = Thread { [self] in
      PublisherLoop(journal, settings, self).run()
      ended.leave()
    }
    thread.name = "meters"
    thread.start()
  }

  /// Ends publishing, and waits until the broker has acknowledged everything.
  ///
  /// - Returns: false when it had not within `limit`.
  func finish(atMost limit: DispatchTimeInterval) -> Bool {
    isFinishing.store(true, ordering: .relaxed)
    let isDone = ended.wait(timeout: .now() + limit) == .success
    isAbandoned.store(true, ordering: .relaxed)
    return isDone
  }

  fileprivate var mayEnd: Bool { isFinishing.load(ordering: .relaxed) }
  fileprivate var mustEnd: Bool { isAbandoned.load(ordering: .relaxed) }

  fileprivate func republishes(_ messages: Int) {
    counters.withLock { $0.republished += messages }
  }

  fileprivate func publishesUnheard() { counters.withLock { $0.unheard += 1 } }
}

struct PublisherSettings: Sendable {
  var broker: String
  var readingsPerSecond: Int
  var seed: UInt64
  /// The right time of each device's first reading, µs since 1970.
  var begin: Int64
  var clock: MeterClock
  /// Readings of each message; nil: mostly one, now and then up to 40.
  var messageSize: ClosedRange<Int>?

  /// Messages on their way at once; of large ones, as many as hold 20,000 readings.
  fileprivate var window: Int { messageSize.map { max(2, 20_000 / $0.upperBound) } ?? 1_000 }
}

/// The loop itself. Lives on the publisher's thread.
private final class PublisherLoop {
  /// A message on its way: readings of one device.
  private struct Message {
    var serial: Int
    var device: Int
    var numbers: Range<Int>
    var payload: [UInt8]
  }

  private let journal: Journal
  private let settings: PublisherSettings
  private unowned let owner: MeterPublisher
  private var random: SeededGenerator
  private var session: MQTTSession?
  private var inFlight: [Int32: Message] = [:]
  /// What nobody heard, by serial number.
  private var again: [Int: Message] = [:]
  private var repeatedAt = ContinuousClock.now
  private var serial = 0
  /// The present pace, and since when and which reading it holds.
  private var pace: (rate: Int, since: ContinuousClock.Instant, first: Int)

  init(_ journal: Journal, _ settings: PublisherSettings, _ owner: MeterPublisher) {
    self.journal = journal
    self.settings = settings
    self.owner = owner
    pace = (settings.readingsPerSecond, .now, 0)
    random = SeededGenerator(seed: settings.seed ^ UInt64(journal.kind.rawValue + 1) << 32)
  }

  func run() {
    while !owner.mustEnd, !(owner.mayEnd && inFlight.isEmpty && again.isEmpty) {
      do throws(MQTTError) {
        try exchange(try connected())
      } catch {
        session = nil
        // The pause of a meter between two attempts.
        Thread.sleep(forTimeInterval: 0.1)
      }
    }
    session?.disconnect()
  }

  private func exchange(_ session: MQTTSession) throws(MQTTError) {
    try repeatTheUnheard(session)
    if !owner.mayEnd { try publishWhatIsDue(session) }
    try session.keepAlive()
    try session.flush()
    _ = session.wait(milliseconds: 10)
    try session.receive()
    for case .disconnected(let reason) in session.takeEvents() {
      throw MQTTError(target: session.settings.target, operation: "publish", message: reason)
    }
  }

  /// The open session, with all that was not acknowledged published again, in order.
  private func connected() throws(MQTTError) -> MQTTSession {
    if let session { return session }
    var mqtt = try MQTTSettings(url: settings.broker, clientID: "meters-\(journal.kind)")
    mqtt.cleanStart = true
    mqtt.sessionExpiry = 0
    mqtt.keepAlive = 30
    let session = try MQTTSession(mqtt)
    session.onPublished = { [unowned self] id in acknowledged(id) }
    session.onUnheard = { [unowned self] id in unheard(id) }
    try session.connect()
    let deadline = ContinuousClock.now + .seconds(10)
    while !session.isConnected {
      _ = session.wait(milliseconds: 100)
      try session.receive()
      if owner.mustEnd || .now > deadline {
        throw MQTTError(target: mqtt.target, operation: "connect", message: "no answer")
      }
    }
    let unanswered = inFlight.values.sorted { $0.serial < $1.serial }
    inFlight.removeAll()
    // Noted before anything can go wrong: none may be forgotten.
    for (index, message) in unanswered.enumerated() { inFlight[-1 - Int32(index)] = message }
    for (index, message) in unanswered.enumerated() {
      try publish(message, session)
      inFlight[-1 - Int32(index)] = nil
    }
    owner.republishes(unanswered.count)
    self.session = session
    return session
  }

  private func acknowledged(_ id: Int32) {
    guard let message = inFlight.removeValue(forKey: id) else { return }
    journal.acknowledge(device: message.device, message.numbers)
  }

  /// Mosquitto up to 2.0.18 does not save shared subscriptions (src/persist_write.c): after its
  /// restart it throws away what is published before the group is back, and says so with this
  /// reason, which is no promise to keep anything. A meter that listens publishes again.
  private func unheard(_ id: Int32) {
    guard let message = inFlight.removeValue(forKey: id) else { return }
    again[message.serial] = message
    owner.publishesUnheard()
  }

  /// Publishes again what nobody heard, a moment later.
  private func repeatTheUnheard(_ session: MQTTSession) throws(MQTTError) {
    guard !again.isEmpty, ContinuousClock.now - repeatedAt > .milliseconds(500) else { return }
    repeatedAt = .now
    for message in again.values.sorted(by: { $0.serial < $1.serial }) {
      try publish(message, session)
      again[message.serial] = nil
    }
  }

  private func publish(_ message: Message, _ session: MQTTSession) throws(MQTTError) {
    let id = try session.publish(
      topic: MeterFleet.topic(journal.kind, message.device), payload: message.payload)
    inFlight[id] = message
  }

  private func publishWhatIsDue(_ session: MQTTSession) throws(MQTTError) {
    if owner.pace != pace.rate { pace = (owner.pace, .now, journal.count) }
    let elapsed = (ContinuousClock.now - pace.since) / .milliseconds(1)
    let due = pace.first + Int(elapsed * Double(pace.rate) / 1_000)
    // At most a burst, so that acknowledgements are looked for now and then.
    var left = 200
    while journal.count < due, inFlight.count + again.count < settings.window, left > 0 {
      left -= 1
      let message = nextMessage()
      // A number that the library never gives, until it gives one.
      inFlight[.min] = message
      try publish(message, session)
      inFlight[.min] = nil
    }
  }

  /// Now and then one with several readings, as an array or line by line.
  private func nextMessage() -> Message {
    let device = random.number(0...MeterFleet.devices - 1)
    let count =
      settings.messageSize.map { random.number($0) }
      ?? (random.oneIn(12) ? random.number(2...40) : 1)
    let first = journal.nextNumber(device: device)
    var readings: [String] = []
    for number in first..<first + count {
      let entry = Journal.Entry(
        time: settings.clock.time(settings.begin + Int64(number) * 100_000),
        // Zero is heard and not stored. Of the others none is a spike beside another.
        microKWh: random.oneIn(40) ? 0 : Int64(random.number(100_000...400_000)))
      journal.add(device: device, time: entry.time, microKWh: entry.microKWh)
      readings.append(MeterFleet.payload(journal.kind, number: number, entry))
    }
    let text =
      count == 1
      ? readings[0]
      : random.oneIn(2) ? readings.joined(separator: "\n") : "[\(readings.joined(separator: ","))]"
    serial += 1
    return Message(
      serial: serial, device: device, numbers: first..<first + count, payload: Array(text.utf8))
  }
}
