// swift-tools-version: 6.2
import PackageDescription

// The benchmarks that are Swift, as a package of their own: nothing of theirs is built with Lighter. They measure rooms
// whose access is `package`, so the rooms are compiled here once more, under Lighter's package name, through the link
// `Rooms` to ../Sources.

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
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let nioHTTP2: Target.Dependency = .product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK: Target.Dependency = .product(name: "NIOHPACK", package: "swift-nio-http2")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: "Rooms/\(name)", swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "lighter-benchmarks",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        room("Fleet", []),
        room("Trust", ["Fleet", crypto, nioCore, nioSSL]),
        room("Link", ["Fleet", "Trust", nioCore, nioPosix, nioTLS, nioSSL, logging]),
        room("Authority", ["Fleet", "Trust", crypto, x509, asn1]),
        .systemLibrary(name: "CSQLite", path: "Rooms/CSQLite", providers: [.apt(["libsqlite3-dev"])]),
        room("Ledger", ["Fleet", "CSQLite", grdb, crypto]),
        room("Etcd", [nioCore, nioPosix, nioSSL, nioHTTP2, nioHPACK, protobuf]),
        room("LedgerEtcd", ["Fleet", "Ledger", "Etcd", nioCore]),
        program("LedgerBench", ["Fleet", "Ledger"]),
        program("YCSBBench", ["Fleet", "Ledger", "LedgerEtcd", "Etcd", nioCore, nioPosix]),
        program("LinkBench", ["Fleet", "Trust", "Authority", "Link", nioCore, nioPosix, nioSSL, logging]),
    ]
)
