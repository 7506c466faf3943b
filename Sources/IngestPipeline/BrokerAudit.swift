// Whether a broker does what the promise of no loss needs, as far as it tells.

import MQTTSession

/// Compares a broker's terms with what was asked for. A sentence for each difference: what it means,
/// and what to do.
struct BrokerAudit {
  let settings: WorkerSettings

  func findings(_ terms: BrokerTerms) -> [String] {
    [
      sessionExpiry(terms), receiveMaximum(terms), quality(terms), keepAlive(terms),
      packetSize(terms), sharing(terms),
    ].compactMap(\.self)
  }

  private func sessionExpiry(_ terms: BrokerTerms) -> String? {
    guard let expiry = terms.sessionExpiry, expiry < settings.mqtt.sessionExpiry else { return nil }
    return "the broker keeps the session for \(expiry) s instead of "
      + "\(settings.mqtt.sessionExpiry) s: what is published while the ingestor is away longer is "
      + "lost; raise the broker's limit (mosquitto: persistent_client_expiration)"
  }

  /// The broker speaks of what it takes, but mosquitto's one setting is for both directions.
  private func receiveMaximum(_ terms: BrokerTerms) -> String? {
    guard let maximum = terms.receiveMaximum, Int(maximum) < settings.batchSize,
      maximum < settings.mqtt.receiveMaximum
    else { return nil }
    return "the broker has \(maximum) unacknowledged messages under way at most, so that a commit "
      + "holds no more; set mosquitto's max_inflight_messages to 0"
  }

  private func quality(_ terms: BrokerTerms) -> String? {
    guard let quality = terms.maximumQoS, quality < 1 else { return nil }
    return "the broker knows QoS 0 only: a message is lost with every fault; use another broker"
  }

  private func keepAlive(_ terms: BrokerTerms) -> String? {
    guard let keepAlive = terms.keepAlive, Int(keepAlive) < settings.mqtt.keepAlive else {
      return nil
    }
    return "the broker wants to hear something every \(keepAlive) s instead of "
      + "\(settings.mqtt.keepAlive) s: a commit that takes longer costs the connection; raise the "
      + "broker's limit (mosquitto: max_keepalive)"
  }

  private func packetSize(_ terms: BrokerTerms) -> String? {
    guard let size = terms.maximumPacketSize, size < BrokerAudit.largestPacket else { return nil }
    return "the broker takes packets of \(size) bytes at most: a meter that publishes more is "
      + "disconnected, and its readings never arrive; set mosquitto's max_packet_size to 2000000"
  }

  /// A payload of 1 MiB, the largest that is decoded, with its topic.
  private static let largestPacket = 1 << 20 + 1 << 10

  private func sharing(_ terms: BrokerTerms) -> String? {
    guard settings.shareGroup != nil, !terms.hasSharedSubscriptions else { return nil }
    return "the broker has no shared subscriptions; run one worker (ingest.workers) and set no "
      + "mqtt.share-group"
  }

  /// Looks at what mosquitto says of itself, such as `mosquitto version 2.0.11`. Others say nothing,
  /// or something else.
  func finding(version text: String) -> String? {
    let words = text.split(separator: " ")
    guard settings.shareGroup != nil, words.first == "mosquitto", let version = words.last else {
      return nil
    }
    let numbers = version.split(separator: ".").compactMap { Int($0) }
    guard numbers.count == 3, numbers.lexicographicallyPrecedes(BrokerAudit.keepsSharing) else {
      return nil
    }
    return
      "the broker is mosquitto \(version), which forgets shared subscriptions when it restarts: "
      + "what meters publish until the ingestor has subscribed again is thrown away. Use mosquitto "
      + "2.0.19 or later, or one worker without mqtt.share-group"
  }

  /// The first mosquitto that saves shared subscriptions with its sessions.
  private static let keepsSharing = [2, 0, 19]
}
