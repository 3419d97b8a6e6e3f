// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP2: Target.Dependency = .product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK: Target.Dependency = .product(name: "NIOHPACK", package: "swift-nio-http2")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

/// A room: a library target of the floor plan. Arrows point downward only.
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// lld, with the read-only data beside the code, and all of it read-only: what a start has touched of both can be given back
/// (StartupPages). A static Swift library would else export all of its names, and keep what nobody calls.
let linking: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xlinker", "--no-rosegment", "-Xlinker", "--no-export-dynamic",
            "-Xlinker", "--script=\(Context.packageDirectory)/packaging/sections.ld",
        ], .when(configuration: .release)
    )
]

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings, linkerSettings: linking)
}

func tests(of name: String, _ more: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.target(name: name), "Fleet", "LighterTesting"] + more,
        swiftSettings: settings)
}

let package = Package(
    name: "lighter",
    products: [
        .executable(name: "lighterd", targets: ["lighterd"]),
        .executable(name: "lighter-gateway", targets: ["lighter-gateway"]),
        .executable(name: "lighter", targets: ["lighter"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // The nouns and the pure decisions.
        room("Fleet", []),
        room("Leases", ["Fleet"]),
        room("Placement", ["Fleet"]),
        room("Wire", ["Fleet", protobuf]),
        // Between machines.
        room("Trust", ["Fleet", crypto, nioCore, nioSSL]),
        room("Link", ["Fleet", "Trust", nioCore, nioPosix, nioTLS, nioSSL, logging]),
        // Docker.
        room("DockerAPI", ["Fleet", nioCore]),
        room("BuildKit", [nioCore]),
        .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
        room("Compression", ["CZstd", nioCore]),
        room("Images", ["Compression", crypto, nioCore]),
        .systemLibrary(name: "CBPF"),
        room("Engine", ["Fleet", "DockerAPI", "Images", "CBPF", nioCore, nioPosix, logging]),
        // A node's side of the control plane.
        room(
            "Session", ["Fleet", "Leases", "Compression", "Wire", "Trust", "Link", nioCore, nioPosix, logging]),
        // Bind mounts between machines.
        .systemLibrary(name: "CFileAttributes"),
        .systemLibrary(name: "CMalloc"),
        .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
        room(
            "Mounts",
            ["Fleet", "Compression", "CFileAttributes", "CMalloc", "CSQLite", crypto, nioCore, nioPosix]),
        // The node daemon.
        room(
            "FrontDoor",
            [
                "Fleet", "Leases", "Placement", "BuildKit", "Compression", "DockerAPI", "Engine", "Images", "Link",
                "Mounts", "Wire", "Session", "CSQLite",
                nioCore, nioPosix, logging, protobuf,
            ]),
        room(
            "Agent",
            [
                "Fleet", "Leases", "Compression", "DockerAPI", "Engine", "Images", "Link", "Mounts", "Trust", "Wire",
                "Session", nioCore, nioPosix, logging,
            ]),
        // The control plane.
        room("Authority", ["Fleet", "Trust", crypto, x509, asn1]),
        room("Ledger", ["Fleet", "CSQLite", grdb, crypto]),
        room("Etcd", [nioCore, nioPosix, nioSSL, nioHTTP2, nioHPACK, protobuf]),
        room("LedgerEtcd", ["Fleet", "Ledger", "Etcd", nioCore]),
        room(
            "Gateway",
            [
                "Fleet", "Leases", "Placement", "Compression", "Wire", "Trust", "Authority", "Link", "Session",
                "Ledger",
                nioCore, nioPosix, nioSSL, logging,
            ]),
        // The command line.
        room("Compose", ["Fleet", yams]),
        // The programs.
        program(
            "lighterd",
            [
                "Agent", "FrontDoor", "Engine", "DockerAPI", "Session", "Link", "Trust", "Fleet", "CMalloc", nioCore,
                nioPosix, logging,
            ]),
        program(
            "lighter-gateway",
            [
                "Gateway", "Ledger", "LedgerEtcd", "Etcd", "Authority", "Session", "Trust", "Fleet", nioCore, nioPosix,
                logging,
                arguments,
            ]),
        program(
            "lighter",
            [
                "Compose", "DockerAPI", "Engine", "Session", "Authority", "Link", "Placement", "Trust", "Wire", "Fleet",
                nioCore, nioPosix, nioSSL,
                logging, arguments,
            ]),
        // Tests.
        room("LighterTesting", ["Fleet", "DockerAPI", nioCore, nioPosix]),
        .testTarget(name: "FleetTests", dependencies: ["Fleet"], swiftSettings: settings),
        // Optimised: it visits hundreds of thousands of worlds.
        .testTarget(
            name: "LeasesTests", dependencies: ["Leases", "Fleet"], swiftSettings: settings + [.unsafeFlags(["-O"])]),
        tests(of: "Placement"),
        tests(of: "Wire", [protobuf]),
        tests(of: "Trust", [crypto, nioSSL]),
        tests(of: "Authority", ["Trust", crypto, x509, nioCore, nioEmbedded, nioSSL]),
        tests(of: "Link", ["Trust", "Authority", nioCore, nioPosix, nioEmbedded, nioSSL, logging]),
        tests(of: "DockerAPI", [nioCore]),
        tests(of: "BuildKit", [nioCore]),
        tests(of: "Compression", [nioCore]),
        tests(of: "Images", ["Compression", nioCore, nioEmbedded]),
        tests(of: "Engine", ["DockerAPI", nioCore, nioPosix, logging]),
        tests(
            of: "Session",
            ["Compression", "Link", "Trust", "Wire", "Authority", nioCore, nioPosix, nioEmbedded, logging]),
        tests(
            of: "FrontDoor",
            [
                "BuildKit", "Compression", "DockerAPI", "Engine", "Images", "Leases", "Link", "Mounts", "Placement",
                "Session", nioCore, nioPosix, nioEmbedded, logging,
            ]),
        tests(
            of: "Agent",
            [
                "Compression", "DockerAPI", "Engine", "Images", "Leases", "Mounts", "Trust", "Wire", nioCore, nioPosix,
                logging,
            ]),
        tests(of: "Mounts", ["Compression", "CFileAttributes", nioCore, nioPosix]),
        tests(of: "Ledger", ["LedgerEtcd", "Etcd", nioCore, nioPosix]),
        tests(of: "Etcd", [nioCore, nioPosix]),
        .testTarget(name: "ComposeTests", dependencies: ["Compose"], swiftSettings: settings),
        tests(
            of: "Gateway",
            [
                "Ledger", "Authority", "Session", "Trust", "Link", "Wire", nioCore, nioPosix, logging,
            ]),
        .testTarget(
            name: "LighterCommandTests", dependencies: ["lighter", "DockerAPI", "Engine", "Fleet", "Wire", arguments],
            swiftSettings: settings),
    ]
)
