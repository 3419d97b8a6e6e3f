internal import Fleet

/// Volumes at nodes that are not, or not any more, what their name stands for: copies in the making, and what a move has left.
extension Journal {
    struct Stray: Hashable, Sendable {
        var volume: String
        var node: NodeID
    }

    static let strayTable =
        "CREATE TABLE IF NOT EXISTS stray(volume TEXT NOT NULL, node TEXT NOT NULL, PRIMARY KEY(volume, node)) WITHOUT ROWID"

    func strays() throws(FrontDoorError) -> [Stray] {
        var found: [Stray] = []
        try database.query("SELECT volume, node FROM stray") { row in
            if let node = try? NodeID(row.text(1)) { found.append(Stray(volume: row.text(0), node: node)) }
        }
        return found
    }

    func put(_ stray: Stray) throws(FrontDoorError) {
        try database.run("INSERT OR REPLACE INTO stray VALUES(?,?)", [.text(stray.volume), .text(stray.node.name)])
    }

    func remove(_ stray: Stray) throws(FrontDoorError) {
        try database.run(
            "DELETE FROM stray WHERE volume = ? AND node = ?", [.text(stray.volume), .text(stray.node.name)])
    }
}
