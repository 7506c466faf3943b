// Makes a certificate authority with a server and a client certificate, for tests of TLS.

import Foundation

/// PEM files of a throw-away authority, valid for two days.
///
/// The server certificate is for `localhost` and 127.0.0.1; the client's common name is the given
/// one.
public struct ThrowawayCertificates: Sendable {
  public let authority: String
  public let serverCertificate: String
  public let serverKey: String
  public let clientCertificate: String
  public let clientKey: String

  /// Makes the files with the `openssl` command, in a directory that is created when missing.
  ///
  /// - Throws: ``PrivateServicesError`` when openssl is missing or fails.
  public init(in directory: String, clientName: String = "client") throws {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    authority = "\(directory)/ca.crt"
    serverCertificate = "\(directory)/server.crt"
    serverKey = "\(directory)/server.key"
    clientCertificate = "\(directory)/client.crt"
    clientKey = "\(directory)/client.key"

    let openssl = try Programs.find("openssl", package: "openssl")
    let newKey = [
      openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
      "-days", "2",
    ]
    let authorityKey = "\(directory)/ca.key"
    try ChildProcess.run(
      newKey + [
        "-keyout", authorityKey, "-out", authority, "-subj", "/CN=throw-away authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
      ], scratch: directory)
    let signed =
      newKey + ["-CA", authority, "-CAkey", authorityKey, "-addext", "basicConstraints=CA:FALSE"]
    try ChildProcess.run(
      signed + [
        "-keyout", serverKey, "-out", serverCertificate, "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
      ], scratch: directory)
    try ChildProcess.run(
      signed + [
        "-keyout", clientKey, "-out", clientCertificate, "-subj", "/CN=\(clientName)",
      ], scratch: directory)
  }
}
