// Which fault happens when, to whom and for how long: follows from the seed alone.

import SeededRandom

/// What goes wrong on a connection.
enum LinkFault: String, CaseIterable, Sendable {
  /// Reset, once, wherever it is in its packets.
  case cut
  /// Reset, and nobody listens for a while.
  case refuse
  /// One direction ends, the other stays.
  case halfClose
  /// Nothing arrives for a while, then all of it.
  case stall
  /// Everything arrives late.
  case delay
  /// Some bytes at a time.
  case trickle
}

/// What happens.
enum Fault: Hashable, Sendable {
  case killIngestor, stopIngestor, freezeIngestor
  case killPostgres, crashPostgres, freezePostgres
  case restartBroker, freezeBroker
  case clockAhead, clockBehind
  case fullDisk
  case brokerLink(LinkFault)
  case databaseLink(LinkFault)

  static let all: [Fault] =
    [
      .killIngestor, .stopIngestor, .freezeIngestor, .killPostgres, .crashPostgres,
      .freezePostgres, .restartBroker, .freezeBroker, .clockAhead, .clockBehind, .fullDisk,
    ] + LinkFault.allCases.map(Fault.brokerLink) + LinkFault.allCases.map(Fault.databaseLink)

  /// As the report calls it.
  var name: String {
    switch self {
    case .killIngestor: "ingestor: kill -9"
    case .stopIngestor: "ingestor: SIGTERM"
    case .freezeIngestor: "ingestor: SIGSTOP"
    case .killPostgres: "PostgreSQL: kill -9"
    case .crashPostgres: "PostgreSQL: stop immediate"
    case .freezePostgres: "PostgreSQL: SIGSTOP"
    case .restartBroker: "broker: restart"
    case .freezeBroker: "broker: SIGSTOP"
    case .clockAhead: "meters: clock an hour ahead"
    case .clockBehind: "meters: clock an hour behind"
    case .fullDisk: "spool: disk full"
    case .brokerLink(let fault): "link to broker: \(fault.rawValue)"
    case .databaseLink(let fault): "link to PostgreSQL: \(fault.rawValue)"
    }
  }

  /// How long it lasts, ms.
  fileprivate var length: ClosedRange<Int> {
    switch self {
    case .killIngestor, .stopIngestor, .restartBroker: 0...5_000
    case .killPostgres, .crashPostgres: 0...10_000
    case .clockAhead, .clockBehind: 2_000...20_000
    case .fullDisk: 3_000...10_000
    case .brokerLink(.cut), .databaseLink(.cut): 0...0
    default: 500...8_000
    }
  }
}

/// Whom it happens to. What happens to one target happens one after the other; different targets
/// suffer at the same time.
enum FaultTarget: Hashable, Sendable {
  case ingestor(Int)
  case postgres
  case broker
  case brokerLink(Int)
  case databaseLink(Int)
  case meters
  case disk
}

/// One line of the schedule.
struct ScheduledFault: Hashable, Sendable {
  /// Milliseconds after the beginning. Later when the target still suffers from the one before.
  var at: Int
  var fault: Fault
  var target: FaultTarget
  /// Milliseconds.
  var lasting: Int

  /// `kill -9 …` with the letter of the ingestor it concerns.
  var title: String {
    switch target {
    case .ingestor(let index), .brokerLink(let index), .databaseLink(let index):
      "\(fault.name) (\(TorturedIngestor.names[index]))"
    default: fault.name
    }
  }
}

/// The faults of a run, in the order of time.
struct FaultSchedule: Sendable {
  let faults: [ScheduledFault]

  /// - Parameter hasDisk: whether there is a disk that can be filled.
  init(seed: UInt64, seconds: Int, count: Int, hasDisk: Bool) {
    var random = SeededGenerator(seed: seed)
    let kinds = Fault.all.filter { $0 != .fullDisk || hasDisk }
    let gap = seconds * 1_000 / count
    var deck: [Fault] = []
    var faults: [ScheduledFault] = []
    for number in 0..<count {
      // Drawn like cards: each kind once before any comes again.
      if deck.isEmpty { deck = kinds.shuffled(using: &random) }
      let fault = deck.removeLast()
      let at = number * gap + random.number(0...gap)
      let target = FaultSchedule.target(of: fault, ingestor: random.number(0...1))
      let lasting = random.number(fault.length)
      faults.append(ScheduledFault(at: at, fault: fault, target: target, lasting: lasting))
      if fault == .fullDisk {
        // A spool is written to only while the database is away.
        faults.append(
          ScheduledFault(at: at, fault: .crashPostgres, target: .postgres, lasting: lasting))
      }
    }
    self.faults = faults.sorted { $0.at < $1.at }
  }

  /// The faults of each target, in the order of time.
  var lanes: [FaultTarget: [ScheduledFault]] { Dictionary(grouping: faults, by: \.target) }

  private static func target(of fault: Fault, ingestor: Int) -> FaultTarget {
    switch fault {
    case .killIngestor, .stopIngestor, .freezeIngestor: .ingestor(ingestor)
    case .killPostgres, .crashPostgres, .freezePostgres: .postgres
    case .restartBroker, .freezeBroker: .broker
    case .clockAhead, .clockBehind: .meters
    case .fullDisk: .disk
    case .brokerLink: .brokerLink(ingestor)
    case .databaseLink: .databaseLink(ingestor)
    }
  }
}
