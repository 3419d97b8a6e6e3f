/// Exec instances of containers elsewhere, across restarts.
extension Journal {
    static let execTable = "CREATE TABLE IF NOT EXISTS exec(id TEXT PRIMARY KEY, container TEXT NOT NULL)"

    /// In the order in which they were made.
    func execs() throws(FrontDoorError) -> [(id: String, container: String)] {
        var found: [(id: String, container: String)] = []
        try database.query("SELECT id, container FROM exec ORDER BY rowid") { row in
            found.append((row.text(0), row.text(1)))
        }
        return found
    }

    /// Not as durable as a route: after a loss of power there is no exec to come back for.
    func put(exec id: String, of container: String) throws(FrontDoorError) {
        try runLightly("INSERT OR REPLACE INTO exec VALUES(?,?)", [.text(id), .text(container)])
    }

    func remove(execsOf container: String) throws(FrontDoorError) {
        try runLightly("DELETE FROM exec WHERE container = ?", [.text(container)])
    }

    /// Removes this one and all that were made before it.
    func remove(execsUpTo id: String) throws(FrontDoorError) {
        try runLightly("DELETE FROM exec WHERE rowid <= (SELECT rowid FROM exec WHERE id = ?)", [.text(id)])
    }
}
