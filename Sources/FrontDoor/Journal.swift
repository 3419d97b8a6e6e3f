package import Engine
package import Fleet
internal import DockerAPI
internal import SwiftProtobuf
internal import Wire

/// The node daemon's small memory across restarts, in one SQLite file: its routes, and which of this device's own
/// containers are workloads.
///
/// A route is durable when its write returns (WAL, `synchronous=FULL`); that costs about as much as one fsync.
@NodeLoop
package final class Journal {
    let database: Database

    /// - Parameter path: the file; made when it is not there.
    package init(path: String) throws(FrontDoorError) {
        database = try Database(path: path)
        try database.run("PRAGMA journal_mode=WAL")
        try database.run("PRAGMA synchronous=FULL")
        try database.run("PRAGMA busy_timeout=2000")
        try database.run("PRAGMA cache_size=-64")
        try database.run(
            """
            CREATE TABLE IF NOT EXISTS route(
              container TEXT PRIMARY KEY, name TEXT NOT NULL, workload TEXT NOT NULL, epoch INTEGER NOT NULL,
              target TEXT NOT NULL, ticket BLOB NOT NULL, renewal REAL NOT NULL, image TEXT NOT NULL,
              image_id TEXT NOT NULL, terminal INTEGER NOT NULL, removes INTEGER NOT NULL, created REAL NOT NULL,
              more TEXT NOT NULL DEFAULT '{}'
            ) WITHOUT ROWID
            """)
        try database.run(
            "CREATE TABLE IF NOT EXISTS creating(workload TEXT PRIMARY KEY, target TEXT NOT NULL) WITHOUT ROWID")
        if try !database.hasColumn("more", in: "route") {
            try database.run("ALTER TABLE route ADD COLUMN more TEXT NOT NULL DEFAULT '{}'")
        }
        try makeObjectTables()
        try database.run(
            "CREATE TABLE IF NOT EXISTS local(container TEXT PRIMARY KEY, workload BLOB NOT NULL) WITHOUT ROWID")
        try database.run(Self.awayImageTable)
        try database.run(Self.imageNameTable)
        try database.run(Self.execTable)
        try database.run(Self.strayTable)
        try makeHaltTable()
        for table in Self.moveTables { try database.run(table) }
    }

    package func routes() throws(FrontDoorError) -> [Route] {
        var found: [Route] = []
        try database.query("SELECT * FROM route") { row in
            let more = (try? JSON.parse(Array(row.text(12).utf8))) ?? [:]
            guard let workload = try? WorkloadID(row.text(2)), let target = try? NodeID(row.text(4)) else { return }
            var route =
                Route(
                    containerID: row.text(0), name: row.text(1), workload: workload,
                    epoch: UInt64(bitPattern: row.integer(3)), target: target, ticket: row.blob(5),
                    ticketRenewal: row.real(6), image: row.text(7), imageID: row.text(8),
                    hasTerminal: row.integer(9) != 0, removesItself: row.integer(10) != 0, createdAt: row.real(11))
            route.ports = (more["ports"]?.arrayValue ?? []).compactMap(PublishedPort.init(json:))
            route.mounts = (more["mounts"]?.arrayValue ?? []).compactMap(MirroredMount.init(json:))
            route.command = more["command"]?.stringValue ?? ""
            for member in more["labels"]?.objectValue?.members ?? [] {
                route.labels[member.key] = member.value.stringValue
            }
            route.publishesAll = more["publishesAll"]?.boolValue ?? false
            for member in more["asked"]?.objectValue?.members ?? [] {
                route.asked[member.key] = member.value.stringValue
            }
            route.networks = (more["networks"]?.arrayValue ?? []).compactMap(\.stringValue)
            route.volumes = (more["volumes"]?.arrayValue ?? []).compactMap(\.stringValue)
            route.anonymousVolumes = (more["anonymousVolumes"]?.arrayValue ?? []).compactMap(\.stringValue)
            if let kind = more["loss"]?.stringValue.flatMap(LossPolicy.Kind.init) { route.loss.kind = kind }
            if let attempts = more["lossAttempts"]?.intValue { route.loss.attempts = Int(attempts) }
            if let attempts = more["attempts"]?.intValue { route.attempts = Int(attempts) }
            route.original = more["original"]?.stringValue.flatMap { try? NodeID($0) }
            if let returns = more["returns"]?.stringValue.flatMap(LossPolicy.Return.init) {
                route.loss.returns = returns
            }
            route.note = more["note"]?.stringValue ?? ""
            found.append(route)
        }
        return found
    }

    package func put(_ route: Route) throws(FrontDoorError) {
        try database.run(
            "INSERT OR REPLACE INTO route VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                .text(route.containerID), .text(route.name), .text(route.workload.hex),
                .integer(Int64(bitPattern: route.epoch)), .text(route.target.name), .blob(route.ticket),
                .real(route.ticketRenewal), .text(route.image), .text(route.imageID),
                .integer(route.hasTerminal ? 1 : 0), .integer(route.removesItself ? 1 : 0), .real(route.createdAt),
                .text(Self.more(route)),
            ])
    }

    /// What came to a route after the table's first form: members that an older daemon passes over.
    private static func more(_ route: Route) -> String {
        let labels = route.labels.sorted { $0.key < $1.key }
            .map { JSONObject.Member(key: $0.key, value: .string($0.value)) }
        let more: JSON = [
            "ports": .array(route.ports.map(\.json)), "mounts": .array(route.mounts.map(\.json)),
            "publishesAll": .bool(route.publishesAll),
            "asked": .object(
                JSONObject(
                    route.asked.sorted { $0.key < $1.key }.map {
                        JSONObject.Member(key: $0.key, value: .string($0.value))
                    })),
            "networks": .array(route.networks.map { .string($0) }),
            "volumes": .array(route.volumes.map { .string($0) }),
            "anonymousVolumes": .array(route.anonymousVolumes.map { .string($0) }),
            "labels": .object(JSONObject(labels)), "command": .string(route.command),
            "loss": .string(route.loss.kind.rawValue), "lossAttempts": .int(Int64(route.loss.attempts)),
            "attempts": .int(Int64(route.attempts)), "note": .string(route.note),
            "original": route.original.map { .string($0.name) } ?? .null,
            "returns": .string(route.loss.returns.rawValue),
        ]
        return more.text
    }

    package func remove(_ containerID: String) throws(FrontDoorError) {
        try database.run("DELETE FROM route WHERE container = ?", [.text(containerID)])
    }

    // MARK: This device's own containers

    package func localWorkloads() throws(FrontDoorError) -> [String: Workload] {
        var found: [String: Workload] = [:]
        try database.query("SELECT container, workload FROM local") { row in
            guard let message = try? Lighter_V1_WorkloadMessage(serializedBytes: row.blob(1)),
                let workload = try? message.domain()
            else { return }
            found[row.text(0)] = workload
        }
        return found
    }

    /// Not as durable as a route: an engine knows its own containers.
    package func putLocal(_ containerID: String, _ workload: Workload) throws(FrontDoorError) {
        let bytes: [UInt8]
        do {
            bytes = try Lighter_V1_WorkloadMessage(workload).serializedBytes()
        } catch {
            throw FrontDoorError(.journal, "a workload cannot be written down", cause: error)
        }
        try runLightly("INSERT OR REPLACE INTO local VALUES(?,?)", [.text(containerID), .blob(bytes)])
    }

    package func removeLocal(_ containerID: String) throws(FrontDoorError) {
        try runLightly("DELETE FROM local WHERE container = ?", [.text(containerID)])
    }

    // MARK: Creates under way

    /// Creates that were on their way to another node when the daemon ended: what they made, nobody has heard of.
    package func creating() throws(FrontDoorError) -> [(workload: WorkloadID, target: NodeID)] {
        var found: [(workload: WorkloadID, target: NodeID)] = []
        try database.query("SELECT workload, target FROM creating") { row in
            guard let workload = try? WorkloadID(row.text(0)), let target = try? NodeID(row.text(1)) else { return }
            found.append((workload, target))
        }
        return found
    }

    package func putCreating(_ workload: WorkloadID, at target: NodeID) throws(FrontDoorError) {
        try runLightly("INSERT OR REPLACE INTO creating VALUES(?,?)", [.text(workload.hex), .text(target.name)])
    }

    package func removeCreating(_ workload: WorkloadID, at target: NodeID) throws(FrontDoorError) {
        try runLightly(
            "DELETE FROM creating WHERE workload = ? AND target = ?", [.text(workload.hex), .text(target.name)])
    }

    /// Survives a crash of the daemon, but does not wait for the disk.
    func runLightly(_ sql: String, _ values: [Database.Value]) throws(FrontDoorError) {
        try database.run("PRAGMA synchronous=NORMAL")
        let written = Result { () throws(FrontDoorError) in try database.run(sql, values) }
        try database.run("PRAGMA synchronous=FULL")
        try written.get()
    }
}
