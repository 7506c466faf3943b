// What a broker offers, by the properties of its CONNACK (MQTT 5.0, section 3.2.2.3).

import CMosquitto

/// The terms of a connection; nil stands for what the broker did not say, which is that it has no
/// limit, or agrees. MQTT 3.1.1 says nothing.
public struct BrokerTerms: Sendable, Equatable {
  /// Seconds for which the session is kept; nil: as long as was asked.
  public var sessionExpiry: UInt32?
  /// Unacknowledged QoS 1 messages that the broker takes at a time; nil: 65,535.
  public var receiveMaximum: UInt16?
  /// Highest QoS that the broker knows; nil: 2.
  public var maximumQoS: UInt8?
  /// Seconds of silence that the broker bears, times 1.5; nil: as was asked.
  public var keepAlive: UInt16?
  /// Bytes of the largest packet that the broker takes.
  public var maximumPacketSize: UInt32?
  /// Whether there are shared subscriptions.
  public var hasSharedSubscriptions = true

  public init() {}

  init(_ properties: OpaquePointer?) {
    guard let properties else { return }
    var word: UInt32 = 0
    var half: UInt16 = 0
    var byte: UInt8 = 0
    func has32(_ name: mqtt5_property) -> Bool {
      mosquitto_property_read_int32(properties, Int32(name.rawValue), &word, false) != nil
    }
    func has16(_ name: mqtt5_property) -> Bool {
      mosquitto_property_read_int16(properties, Int32(name.rawValue), &half, false) != nil
    }
    func has8(_ name: mqtt5_property) -> Bool {
      mosquitto_property_read_byte(properties, Int32(name.rawValue), &byte, false) != nil
    }
    if has32(MQTT_PROP_SESSION_EXPIRY_INTERVAL) { sessionExpiry = word }
    if has32(MQTT_PROP_MAXIMUM_PACKET_SIZE) { maximumPacketSize = word }
    if has16(MQTT_PROP_RECEIVE_MAXIMUM) { receiveMaximum = half }
    if has16(MQTT_PROP_SERVER_KEEP_ALIVE) { keepAlive = half }
    if has8(MQTT_PROP_MAXIMUM_QOS) { maximumQoS = byte }
    if has8(MQTT_PROP_SHARED_SUB_AVAILABLE) { hasSharedSubscriptions = byte != 0 }
  }
}
