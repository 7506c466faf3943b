// The real Prometheus, with the rules of deploy/prometheus, before a running ingestor.

import Foundation
import Glibc
import PrivateServices
import TestServices
import Testing

@Suite(.enabled(if: RunningPrometheus.isInstalled)) struct AlertTests {
  @Test func anAlertFiresWhenNoMeterIsHeard() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 1, grid: TestServices.freshName())
    let ingestor = try RunningIngestor(
      database: try TestServices.migratedDatabase(), broker: services.mqttURL, grid: known.grid)
    try await ingestor.waitUntilReady()
    let address = try #require(ingestor.log.firstMatch(of: /url=http:\/\/([0-9.:]+)/)?.1)
    let prometheus = try RunningPrometheus(scraping: String(address))
    // Meters publish until Prometheus has seen a rate; then they stop.
    try await eventually("a rate\n\(prometheus.log)") {
      try known.publish(0..<5, to: services.mqttURL)
      let rate = try await prometheus.ask(
        "query?query=sum(rate(meter_ingestor_readings_received_total%5B4s%5D))%3E0")
      return rate.contains("\"value\"")
    }
    #expect(!(try await prometheus.isFiring("NoMetersHeard")))
    try await eventually("the alert\n\(prometheus.log)") {
      try await prometheus.isFiring("NoMetersHeard")
    }
    #expect(!(try await prometheus.isFiring("IngestorDown")))
    ingestor.signal(SIGKILL)
    try await eventually("the other alert\n\(prometheus.log)") {
      try await prometheus.isFiring("IngestorDown")
    }
  }
}
