// Where the broker is and how this client introduces itself.

import Foundation

/// Settings of one session.
public struct MQTTSettings: Sendable {
  public var host: String
  public var port: Int
  public var userName: String?
  public var password: String?
  /// nil for plain TCP.
  public var tls: TLS?
  /// Stable over restarts: the broker keeps the session under this name.
  public var clientID: String
  /// MQTT 5 unless the broker is too old for it.
  public var isVersion5 = true
  /// Seconds of silence after which the broker gives the client up, times 1.5. Longer than the
  /// longest wait for a commit, because a PINGREQ waits with the held acknowledgements. 10…65,535.
  public var keepAlive = 300
  /// Seconds for which the broker keeps the session of a client that is away; 7 days.
  public var sessionExpiry: UInt32 = 604_800
  /// Messages that the broker may send before the first is acknowledged, 1…65,535.
  public var receiveMaximum: UInt16 = 65_535
  /// Whether the broker forgets an earlier session of this client.
  public var cleanStart = false
  /// Topic that says `online` or, as last will, `offline`, retained; nil for none.
  public var statusTopic: String?

  public struct TLS: Sendable {
    /// PEM file of the authorities to trust; the system's where nil.
    public var authorityFile: String?
    public var certificateFile: String?
    public var keyFile: String?

    public init(
      authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil
    ) {
      self.authorityFile = authorityFile
      self.certificateFile = certificateFile
      self.keyFile = keyFile
    }
  }

  /// Reads `mqtt://user:password@host:port` or `mqtts://…`; 1883 and 8883 are the default ports.
  ///
  /// - Throws: ``MQTTError`` that repeats no password.
  public init(url: String, clientID: String) throws(MQTTError) {
    guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty,
      let scheme = parts.scheme, scheme == "mqtt" || scheme == "mqtts",
      parts.path.isEmpty || parts.path == "/"
    else {
      throw MQTTError(
        target: "MQTT_URL", operation: "read the address",
        message: "expected mqtt://user:password@host:port or mqtts://…")
    }
    self.host = host
    port = parts.port ?? (scheme == "mqtts" ? 8883 : 1883)
    userName = parts.user
    password = parts.password
    tls = scheme == "mqtts" ? TLS() : nil
    self.clientID = clientID
  }

  /// Host and port, for messages.
  public var target: String { "\(host):\(port)" }
}

// Settings end up in log lines of others (service-lifecycle prints its services): no password there.
extension MQTTSettings: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "\(clientID) at \(target)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["target": target]) }
}

/// A failure of the session, without secrets.
public struct MQTTError: Error, Sendable, CustomStringConvertible {
  /// Host and port.
  public var target: String
  public var operation: String
  public var message: String
  /// Whether the broker itself turned the client away; the message is its reason then.
  public var isRefusal: Bool
  /// Whether another client has connected with the same id: the broker serves only one of them.
  public var isTakenOver = false
  /// Whether the broker had taken the connection that was lost.
  public var wasConnected = false

  public init(target: String, operation: String, message: String, isRefusal: Bool = false) {
    self.target = target
    self.operation = operation
    self.message = message
    self.isRefusal = isRefusal
  }

  public var description: String { "\(operation) at MQTT broker \(target): \(message)" }
}
