// `devices`: which devices are heard, registered, silent.

import ArgumentParser

struct DevicesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices",
    abstract: "List the devices that are heard, registered or silent.",
    subcommands: [DeviceListCommand.self], defaultSubcommand: DeviceListCommand.self)
}
