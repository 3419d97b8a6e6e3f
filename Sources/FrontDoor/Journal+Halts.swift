internal import Fleet

/// Containers that ran and were stopped for a move, which has not come to its end.
extension Journal {
    struct Halt: Hashable, Sendable {
        var container: String
        /// Of the lease with which it ran.
        var epoch: UInt64
        var stage: Stage
        /// Whether what it was must not be started any more.
        var isGiven: Bool { stage == .given || stage == .givenAtRest }
    }

    enum Stage: Int64, Sendable {
        /// It is, or is being, stopped where it was.
        case stopped
        /// The gateway may have given it to another node: then it must not be started as what it was.
        case given
        /// It was made at its new node, whose answer to the start is not known.
        case made
        /// The gateway may have given it to another node; it did not run.
        case givenAtRest
    }

    private static let haltTable =
        "CREATE TABLE IF NOT EXISTS halt(container TEXT PRIMARY KEY, epoch INTEGER NOT NULL, stage INTEGER NOT NULL) WITHOUT ROWID"

    func makeHaltTable() throws(FrontDoorError) {
        try database.run(Self.haltTable)
        try database.run(
            "CREATE TABLE IF NOT EXISTS unrestarted(container TEXT PRIMARY KEY, epoch INTEGER NOT NULL, policy TEXT NOT NULL,"
                + " retries INTEGER NOT NULL) WITHOUT ROWID")
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

    /// A restart policy that was taken from a container while it is given to another node.
    struct Unrestarted: Hashable, Sendable {
        var container: String
        /// Of the lease with which it had the policy.
        var epoch: UInt64
        var policy: String
        var retries: Int64
    }

    func put(_ unrestarted: Unrestarted) throws(FrontDoorError) {
        // What was noted first is what was asked for.
        try database.run(
            "INSERT OR IGNORE INTO unrestarted VALUES(?,?,?,?)",
            [
                .text(unrestarted.container), .integer(Int64(bitPattern: unrestarted.epoch)), .text(unrestarted.policy),
                .integer(unrestarted.retries),
            ])
    }

    func removeUnrestarted(_ container: String) throws(FrontDoorError) {
        try database.run("DELETE FROM unrestarted WHERE container = ?", [.text(container)])
    }

    func unrestarted() throws(FrontDoorError) -> [Unrestarted] {
        var found: [Unrestarted] = []
        try database.query("SELECT container, epoch, policy, retries FROM unrestarted") { row in
            found.append(
                Unrestarted(
                    container: row.text(0), epoch: UInt64(bitPattern: row.integer(1)), policy: row.text(2),
                    retries: row.integer(3)))
        }
        return found
    }
}
