// Makes a scheduled fault happen, and ends it.

import Foundation
import PrivateServices

/// What can be broken, and how.
struct FaultActions: Sendable {
  let services: PrivateServices
  let ingestors: [TorturedIngestor]
  let brokerLinks: [FaultyLink]
  let databaseLinks: [FaultyLink]
  let clock: MeterClock
  let disk: SmallDisk?
  let log: FaultLog

  /// Lets one fault happen from begin to end. Blocks as long as it lasts.
  func perform(_ scheduled: ScheduledFault) throws {
    let lasting = Double(scheduled.lasting) / 1_000
    switch scheduled.target {
    case .ingestor(let index): try hurt(ingestors[index], scheduled.fault, lasting)
    case .postgres: try hurtPostgres(scheduled.fault, lasting)
    case .broker: try hurtBroker(scheduled.fault, lasting)
    case .brokerLink(let index), .databaseLink(let index):
      try hurtLink(scheduled.fault, index, lasting)
    case .meters:
      clock.set(hours: scheduled.fault == .clockAhead ? 1 : -1)
      rest(lasting)
      clock.set(hours: 0)
    case .disk:
      disk?.fill()
      rest(lasting)
      disk?.empty()
    }
  }

  /// How long a fault lasts is the fault; there is nothing to wait for.
  private func rest(_ seconds: Double) { Thread.sleep(forTimeInterval: seconds) }

  private func hurt(_ ingestor: TorturedIngestor, _ fault: Fault, _ lasting: Double) throws {
    switch fault {
    case .freezeIngestor:
      ingestor.freeze()
      rest(lasting)
      return ingestor.wake()
    case .stopIngestor: stop(ingestor)
    default: ingestor.kill()
    }
    rest(lasting)
    try ingestor.start()
  }

  /// SIGTERM, and what must come of it: status 0 within 10 s, whatever else is broken.
  func stop(_ ingestor: TorturedIngestor) {
    let (status, took) = ingestor.stop()
    let seconds = (took / .seconds(1)).rounded(places: 2)
    log.stopTook(seconds)
    if status != 0 || seconds > 10 {
      let end = status.map { "status \($0)" } ?? "no end"
      log.problem("ingestor \(ingestor.name) after SIGTERM: \(end) after \(seconds) s")
    }
  }

  private func hurtPostgres(_ fault: Fault, _ lasting: Double) throws {
    if fault == .freezePostgres {
      services.pausePostgres()
      rest(lasting)
      return services.resumePostgres()
    }
    try services.stopPostgres(fault == .killPostgres ? .kill : .immediate)
    rest(lasting)
    try services.startPostgres()
  }

  /// A stop in order: what a broker acknowledged and had not saved yet is lost with a kill -9, which
  /// is the broker's promise and not the ingestor's.
  private func hurtBroker(_ fault: Fault, _ lasting: Double) throws {
    if fault == .freezeBroker {
      services.pauseBroker()
      rest(lasting)
      return services.resumeBroker()
    }
    try services.stopBroker()
    rest(lasting)
    try services.startBroker()
  }

  private func hurtLink(_ fault: Fault, _ index: Int, _ lasting: Double) throws {
    switch fault {
    case .brokerLink(let fault): try hurt(brokerLinks[index], fault, lasting)
    case .databaseLink(let fault): try hurt(databaseLinks[index], fault, lasting)
    default: log.problem("\(fault) is no fault of a link")
    }
  }

  private func hurt(_ link: FaultyLink, _ fault: LinkFault, _ lasting: Double) throws {
    switch fault {
    case .cut: return try link.cut()
    // Both directions have their turn: which, the length of the fault says.
    case .halfClose: try link.halfClose(towardTarget: Int(lasting * 1_000) % 2 == 0)
    case .refuse: try link.listen(false)
    case .stall: try link.behave(.stall)
    case .delay: try link.behave(.delay(milliseconds: 50 + Int64(lasting * 100)))
    case .trickle: try link.behave(.trickle)
    }
    rest(lasting)
    try link.listen(true)
    try link.behave(.pass)
  }
}
