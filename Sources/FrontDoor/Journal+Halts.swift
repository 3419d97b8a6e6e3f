internal import Fleet

/// Containers that ran and were stopped for a move, which has not come to its end.
extension Journal {
    struct Halt: Hashable, Sendable {
        var container: String
        /// Of the lease with which it ran.
        var epoch: UInt64
        var stage: Stage
    }

    enum Stage: Int64, Sendable {
        /// It is, or is being, stopped where it was.
        case stopped
        /// The gateway may have given it to another node: then it must not be started as what it was.
        case given
        /// It was made at its new node, whose answer to the start is not known.
        case made
    }

    private static let haltTable =
        "CREATE TABLE IF NOT EXISTS halt(container TEXT PRIMARY KEY, epoch INTEGER NOT NULL, stage INTEGER NOT NULL) WITHOUT ROWID"

    func makeHaltTable() throws(FrontDoorError) {
        try database.run(Self.haltTable)
        try database.run("CREATE TABLE IF NOT EXISTS unrestarted(container TEXT PRIMARY KEY) WITHOUT ROWID")
        // As an earlier daemon called it.
        if try database.hasColumn("given", in: "halt") {
            try database.run("ALTER TABLE halt RENAME COLUMN given TO stage")
        }
    }

    func halts() throws(FrontDoorError) -> [Halt] {
        var found: [Halt] = []
        try database.query("SELECT container, epoch, stage FROM halt") { row in
            found.append(
                Halt(
                    container: row.text(0), epoch: UInt64(bitPattern: row.integer(1)),
                    stage: Stage(rawValue: row.integer(2)) ?? .given))
        }
        return found
    }

    func put(_ halt: Halt) throws(FrontDoorError) {
        try database.run(
            "INSERT OR REPLACE INTO halt VALUES(?,?,?)",
            [.text(halt.container), .integer(Int64(bitPattern: halt.epoch)), .integer(halt.stage.rawValue)])
    }

    /// Removes it unless a later move has written down another.
    func remove(_ halt: Halt) throws(FrontDoorError) {
        try database.run(
            "DELETE FROM halt WHERE container = ? AND epoch = ? AND stage = ?",
            [.text(halt.container), .integer(Int64(bitPattern: halt.epoch)), .integer(halt.stage.rawValue)])
    }

    func removeHalt(of container: String) throws(FrontDoorError) {
        try database.run("DELETE FROM halt WHERE container = ?", [.text(container)])
    }

    // MARK: Restarts

    /// Its engine does not start it by itself any more, though that was asked for.
    func putUnrestarted(_ container: String) throws(FrontDoorError) {
        try database.run("INSERT OR IGNORE INTO unrestarted VALUES(?)", [.text(container)])
    }

    func removeUnrestarted(_ container: String) throws(FrontDoorError) {
        try database.run("DELETE FROM unrestarted WHERE container = ?", [.text(container)])
    }

    func isUnrestarted(_ container: String) throws(FrontDoorError) -> Bool { try unrestarted().contains(container) }

    func unrestarted() throws(FrontDoorError) -> [String] {
        var found: [String] = []
        try database.query("SELECT container FROM unrestarted") { found.append($0.text(0)) }
        return found
    }
}
