// swift-tools-version: 6.2
// The house of the meter ingestor: one target is one room, an import is a door, and no room imports a higher one.

import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

// Rooms whose tests look inside (@testable): the release build serves the tests too, so that what is
// tested is what is delivered.
let testable: [SwiftSetting] = strict + [.unsafeFlags(["-enable-testing"])]

let package = Package(
  name: "meter-ingestor",
  products: [
    .executable(name: "meter-ingestor", targets: ["meter-ingestor"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(
      url: "https://github.com/apple/swift-configuration", from: "1.4.0",
      traits: ["YAML"]),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // Floor 5: the program.
    .executableTarget(
      name: "meter-ingestor",
      dependencies: [
        "EnergyReadings", "PayloadDecoding", "CheckRules", "PostgresStore", "MQTTSession", "Spool",
        "IngestPipeline", "Monitoring", "StatusServer", "MeterSimulator", "PrivateServices",
        "Bench",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),

    // A yardstick beside the house: it replaces malloc to count its calls, so nothing depends on it.
    .executableTarget(
      name: "micro-bench",
      dependencies: [
        "CAllocationCount", "CInstructionCount", "CheckRules", "EnergyReadings", "IngestPipeline",
        "MeterSimulator", "PayloadDecoding", "PostgresStore", "PrivateServices",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .target(name: "CAllocationCount"),
    .target(name: "CInstructionCount"),

    // Floor 4: what people look at, and the meters that are not there.
    .target(
      name: "StatusServer",
      dependencies: [
        "Monitoring",
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      resources: [
        .embedInCode("Page"), .embedInCode("Queries"), .embedInCode("openapi.json"),
      ],
      swiftSettings: testable),
    .target(
      name: "MeterSimulator",
      dependencies: [
        "EnergyReadings", "PayloadDecoding", "MQTTSession", "CZlib",
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: testable),

    .target(
      name: "Bench",
      dependencies: [
        "PostgresStore", "MQTTSession", "MeterSimulator", "PrivateServices", "CLibpq",
      ],
      swiftSettings: strict),

    // Floor 3: the path of a reading, and what it tells about itself.
    .target(
      name: "IngestPipeline",
      dependencies: [
        "EnergyReadings", "PayloadDecoding", "CheckRules", "PostgresStore", "MQTTSession", "Spool",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),
    .target(
      name: "Monitoring",
      dependencies: [
        "PostgresStore",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: testable),

    // Floor 2: one outside thing each.
    .target(
      name: "PayloadDecoding",
      dependencies: [
        "CCBORItems", "CSimdJSON", "EnergyReadings",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "Yams", package: "Yams"),
      ],
      exclude: ["Formats/Sparkplug/payload.proto"],
      swiftSettings: strict),
    .target(
      name: "CheckRules",
      dependencies: ["EnergyReadings"],
      swiftSettings: strict),
    .target(
      name: "PostgresStore",
      dependencies: ["EnergyReadings", "CLibpq"],
      resources: [.embedInCode("Migrations")],
      swiftSettings: strict),
    .target(
      name: "MQTTSession",
      dependencies: ["CMosquitto", "CPacketBuffer"],
      swiftSettings: strict),
    .target(
      name: "Spool",
      dependencies: ["EnergyReadings", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),
    .target(
      name: "PrivateServices",
      dependencies: [],
      swiftSettings: strict),

    // Floor 1: the domain.
    .target(
      name: "EnergyReadings",
      dependencies: ["CLibcrypto"],
      swiftSettings: strict),

    // Floor 0: C libraries.
    .systemLibrary(
      name: "CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(
      name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev"])]),
    .target(name: "CCBORItems", linkerSettings: [.linkedLibrary("cbor")]),
    .target(name: "CPacketBuffer"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(
      name: "CSimdJSON",
      // As a release of simdjson is built: it asserts its own state several times a token.
      cxxSettings: [.define("NDEBUG")],
      linkerSettings: [.linkedLibrary("simdjson")]),

    // Tests, against real services that they start themselves.
    .target(
      name: "TestServices", dependencies: ["PostgresStore", "PrivateServices"],
      path: "Tests/TestServices", swiftSettings: strict),
    .target(name: "CSyncCount", path: "Tests/CSyncCount"),
    .target(name: "SeededRandom", path: "Tests/SeededRandom", swiftSettings: strict),
    .target(
      name: "Fuzzing",
      dependencies: [
        "CheckRules", "EnergyReadings", "MeterSimulator", "PayloadDecoding", "SeededRandom",
      ],
      path: "Tests/Fuzzing", swiftSettings: strict),
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "Fuzzing", "PrivateServices",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/FuzzProgram", swiftSettings: strict),
    .testTarget(
      name: "FuzzTests", dependencies: ["Fuzzing", "PrivateServices", "fuzz"],
      swiftSettings: strict),
    .testTarget(
      name: "EnergyReadingsTests", dependencies: ["EnergyReadings", "SeededRandom"],
      swiftSettings: strict),
    .testTarget(
      name: "PayloadDecodingTests",
      dependencies: ["EnergyReadings", "PayloadDecoding", "SeededRandom"], swiftSettings: strict),
    .testTarget(
      name: "CheckRulesTests",
      dependencies: [
        "CheckRules", "EnergyReadings", "IngestPipeline", "PostgresStore", "PrivateServices",
        "SeededRandom", "TestServices",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "SpoolTests",
      dependencies: ["CSyncCount", "EnergyReadings", "PrivateServices", "SeededRandom", "Spool"],
      swiftSettings: strict),
    .testTarget(
      name: "TortureTests",
      dependencies: [
        "EnergyReadings", "MQTTSession", "PostgresStore", "PrivateServices", "SeededRandom",
        "TestServices", "meter-ingestor",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "IngestPipelineTests",
      dependencies: [
        "CheckRules", "EnergyReadings", "IngestPipeline", "PayloadDecoding", "PostgresStore",
        "SeededRandom", "TestServices", .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "PostgresStoreTests",
      dependencies: [
        "EnergyReadings", "PostgresStore", "PrivateServices", "SeededRandom", "TestServices",
      ],
      exclude: ["LegacySchemas"], swiftSettings: strict),
    .testTarget(
      name: "MQTTSessionTests",
      dependencies: ["CPacketBuffer", "MQTTSession", "PrivateServices", "TestServices"],
      swiftSettings: strict),
    .testTarget(
      name: "MonitoringTests",
      dependencies: [
        "Monitoring", "PostgresStore", "PrivateServices", "SeededRandom", "TestServices",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "StatusServerTests",
      dependencies: [
        "Monitoring", "PostgresStore", "PrivateServices", "StatusServer", "TestServices",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "MeterSimulatorTests",
      dependencies: [
        "EnergyReadings", "MeterSimulator", .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "PrivateServicesTests", dependencies: ["PrivateServices"], swiftSettings: strict),
    // Without a dependency on micro-bench, or its malloc would be that of all tests; it is built
    // with them.
    .testTarget(
      name: "MicroBenchTests", dependencies: ["PrivateServices", "TestServices"],
      swiftSettings: strict),
    .testTarget(
      name: "BenchTests",
      dependencies: [
        "Bench", "PostgresStore", "PrivateServices", "TestServices", "meter-ingestor",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "CPacketBuffer", "EnergyReadings", "MQTTSession", "MeterSimulator", "PostgresStore",
        "PrivateServices", "SeededRandom", "TestServices", "meter-ingestor",
      ],
      swiftSettings: strict),
  ],
  cxxLanguageStandard: .cxx17
)
