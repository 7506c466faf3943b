// What goes wrong with private services, in words a person can act on.

/// An error of ``PrivateServices``: a code to decide on, and a text that says what to do.
public struct PrivateServicesError: Error, CustomStringConvertible {
  public enum Code: Sendable {
    /// A program of PostgreSQL, mosquitto or the base system is not installed.
    case programMissing
    /// The directory cannot be made or used.
    case directoryUnusable
    /// A helper program (initdb, psql, openssl …) could not be started or ended badly.
    case commandFailed
    /// A service ended, or was not ready within the time allowed.
    case notReady
    /// A service did not end within the time allowed.
    case notStopped
    /// The instance was already stopped by ``PrivateServices/stop()``.
    case alreadyStopped
  }

  public let code: Code
  public let description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
