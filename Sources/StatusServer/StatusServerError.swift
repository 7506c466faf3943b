// Why the status server cannot listen, and what to do about it.

import Glibc

/// The status server cannot listen on its address.
public struct StatusServerError: Error, CustomStringConvertible {
  /// What stood in the way.
  public enum Reason: Sendable, Hashable {
    /// The system refused with this `errno`, which `detail` has in words.
    case system(code: CInt, detail: String)
    /// The host name has no address here.
    case unknownHost(String)
    /// A port is 0…65535.
    case portOutOfRange
  }

  /// What was asked for.
  public let address: BoundAddress
  public let reason: Reason

  public var description: String {
    let setting = "http.listen (environment HTTP_LISTEN)"
    let what = "The status server cannot listen on \(address)"
    switch reason {
    case .system(EADDRINUSE, _):
      return """
        \(what): the address is already in use. Stop the program that holds it \
        (`ss -ltnp 'sport = :\(address.port)'` names it), or set \(setting) to another port; \
        port 0 takes a free one.
        """
    case .system(EADDRNOTAVAIL, _):
      return """
        \(what): this machine has no such address. Set \(setting) to one of its own \
        (`ip address` lists them), 127.0.0.1 for this machine only.
        """
    case .system(EACCES, _):
      return """
        \(what): permission denied. Ports below 1024 need a right of their own; set \(setting) to \
        a higher port.
        """
    case .system(_, let detail):
      return "\(what): \(detail). Check \(setting)."
    case .unknownHost(let detail):
      return """
        \(what): the host name has no address here (\(detail)). Set \(setting) to an address of \
        this machine, 127.0.0.1 for this machine only.
        """
    case .portOutOfRange:
      return "\(what): a port is 0…65535. Correct \(setting)."
    }
  }
}
