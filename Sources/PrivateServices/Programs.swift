// Finds the programs that private services consist of, and names the Debian package of one that
// lacks.

import Foundation

enum Programs {
  /// The path of a program in PATH or a system directory: daemons are in `sbin`, which the PATH of
  /// an ordinary Debian user does not contain.
  static func find(_ name: String, package: String) throws -> String {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let directories =
      path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    for directory in directories {
      let candidate = "\(directory)/\(name)"
      if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
    }
    throw PrivateServicesError(
      .programMissing,
      "the program \(name) is not installed: run deploy/prerequisites, or apt-get install \(package)"
    )
  }

  /// The directory of `initdb`, `postgres` and `psql`: Debian's newest version, else that of PATH.
  static func postgresDirectory() throws -> String {
    let root = "/usr/lib/postgresql"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    let newest =
      versions.compactMap(Int.init).sorted(by: >).map { "\(root)/\($0)/bin" }
      .first { FileManager.default.isExecutableFile(atPath: "\($0)/initdb") }
    if let newest { return newest }
    return String(try find("initdb", package: "postgresql").dropLast("/initdb".count))
  }
}
