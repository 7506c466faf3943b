// The program: subcommands, and one place where errors become exit codes.

import ArgumentParser
import Foundation
import Glibc

@main
struct Program: AsyncParsableCommand {
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "meter-ingestor",
    abstract: "Brings smart meters' readings from MQTT into PostgreSQL, exactly once.",
    discussion: """
      Start with `meter-ingestor migrate`, then `meter-ingestor run`. Settings come from defaults, \
      a YAML file (--config), the environment and --set, in that order; `meter-ingestor config` \
      prints them all. When something is wrong, `meter-ingestor doctor` says what.
      """,
    version: version,
    subcommands: [
      RunCommand.self, MigrateCommand.self, RegisterCommand.self, ReplayCommand.self,
      RulesCommand.self, ValidateCommand.self, SimulateCommand.self, CaptureCommand.self,
      ConfigCommand.self, DoctorCommand.self, DeadLettersCommand.self, DrainCommand.self,
      DevicesCommand.self, TopCommand.self, DemoCommand.self, BenchCommand.self,
      BenchPublishCommand.self,
    ])

  /// Exit codes: 0 done, 1 failed, 2 called wrongly or configured wrongly.
  static func main() async {
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      let code = exitCode(for: error)
      if code == .success {
        print(fullMessage(for: error))
        return
      }
      if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
      let isUsage = code == .validationFailure || error is SettingError
      let text = isUsage && !(error is SettingError) ? fullMessage(for: error) : "error: \(error)"
      FileHandle.standardError.write(Data((text + "\n").utf8))
      Glibc.exit(isUsage ? 2 : 1)
    }
  }
}
