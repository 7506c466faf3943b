// Picks TCP ports for private services and tells who listens on one.

import Foundation

enum LoopbackPorts {
  /// A port that nobody uses now.
  ///
  /// Ports come from below the kernel's range for outgoing connections (ip(7)). One from binding
  /// port 0 lies inside that range: while a service is down in a test, any outgoing connection may
  /// take its port, and a client that retries may even connect to itself. Another program can still
  /// be faster; the caller then tries a second port.
  static func free(except taken: Set<Int> = []) throws -> Int {
    let range = try? String(
      contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
    let outgoing = range?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 32_768
    let used = Set(sockets().map(\.port)).union(taken)
    let candidates = 10_240..<max(outgoing, 12_288)
    guard let port = candidates.shuffled().first(where: { !used.contains($0) }) else {
      throw PrivateServicesError(.notReady, "no free TCP port in \(candidates) on 127.0.0.1")
    }
    return port
  }

  /// Whether anybody listens on the port.
  static func isListening(_ port: Int) -> Bool {
    sockets().contains { $0.port == port && $0.listens }
  }

  /// Whether this process, not another one that was faster, listens on the port.
  static func isListening(_ port: Int, process: Int32) -> Bool {
    let inodes = sockets().filter { $0.port == port && $0.listens }.map { "socket:[\($0.inode)]" }
    let directory = "/proc/\(process)/fd"
    let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return descriptors.contains { name in
      let target = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "\(directory)/\(name)")
      return target.map(inodes.contains) ?? false
    }
  }

  private struct Socket {
    var port: Int
    var listens: Bool
    var inode: Substring
  }

  /// The TCP sockets of this machine (proc_net_tcp in the kernel's documentation).
  private static func sockets() -> [Socket] {
    ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { file in
      let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
      return text.split(separator: "\n").dropFirst().compactMap(socket)
    }
  }

  private static func socket(_ line: Substring) -> Socket? {
    let fields = line.split(separator: " ")
    guard fields.count > 9, let hex = fields[1].split(separator: ":").last,
      let port = Int(hex, radix: 16)
    else { return nil }
    return Socket(port: port, listens: fields[3] == "0A", inode: fields[9])
  }
}
