// What a caller may choose about its private PostgreSQL and its private broker.

/// How the private PostgreSQL behaves. The defaults are those of the demo and of measurements.
public struct PostgresOptions: Sendable {
  /// Whether commits are forced to the disk. Default true; tests that do not cut the power turn it
  /// off and run faster. `synchronous_commit` is on either way.
  public var fsync: Bool
  /// Whether every role but `postgres` must give its password (SCRAM-SHA-256). Default false.
  public var requirePasswords: Bool
  /// Further settings by name, e.g. `["shared_buffers": "512MB"]`; they win over the defaults.
  public var settings: [String: String]

  public init(
    fsync: Bool = true, requirePasswords: Bool = false, settings: [String: String] = [:]
  ) {
    self.fsync = fsync
    self.requirePasswords = requirePasswords
    self.settings = settings
  }
}

/// How the private mosquitto behaves. By default anybody may do anything, without TLS.
public struct BrokerOptions: Sendable {
  /// Server certificate, and the authority that may vouch for clients.
  public struct TLS: Sendable {
    public var certificates: ThrowawayCertificates
    /// Whether a client must show a certificate of the same authority. Default false.
    public var requireClientCertificate: Bool

    public init(_ certificates: ThrowawayCertificates, requireClientCertificate: Bool = false) {
      self.certificates = certificates
      self.requireClientCertificate = requireClientCertificate
    }
  }

  /// Passwords by user name. Not empty: anonymous clients are refused.
  public var users: [String: String]
  /// Path of an ACL file as in mosquitto.conf(5). Default none: everything is allowed.
  public var aclFile: String?
  /// TLS instead of plain TCP. Default none.
  public var tls: TLS?
  /// Seconds between two saves of sessions and queued messages, which a SIGKILL does not trigger
  /// (SIGTERM does). Default 60.
  public var autosaveSeconds: Int
  /// Further lines for mosquitto.conf, after the generated ones.
  public var settings: [String]

  public init(
    users: [String: String] = [:], aclFile: String? = nil, tls: TLS? = nil,
    autosaveSeconds: Int = 60, settings: [String] = []
  ) {
    self.users = users
    self.aclFile = aclFile
    self.tls = tls
    self.autosaveSeconds = autosaveSeconds
    self.settings = settings
  }
}
