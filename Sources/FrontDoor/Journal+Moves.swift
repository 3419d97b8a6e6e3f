internal import DockerAPI
internal import Engine
internal import Fleet
internal import NIOCore

/// What a container needs to be made again elsewhere, and the ids of those that were.
extension Journal {
    static let moveTables = [
        """
        CREATE TABLE IF NOT EXISTS alias(
          shown TEXT NOT NULL, node TEXT NOT NULL, engine TEXT NOT NULL, PRIMARY KEY(shown, node)) WITHOUT ROWID
        """,
        "CREATE TABLE IF NOT EXISTS asked(container TEXT PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
    ]

    func aliases() throws(FrontDoorError) -> [(node: NodeID, shown: String, engine: String)] {
        var found: [(NodeID, String, String)] = []
        try database.query("SELECT node, shown, engine FROM alias") { row in
            guard let node = try? NodeID(row.text(0)) else { return }
            found.append((node, row.text(1), row.text(2)))
        }
        return found
    }

    func putAlias(_ shown: String, engineID: String, at node: NodeID) throws(FrontDoorError) {
        try database.run(
            "INSERT OR REPLACE INTO alias VALUES(?,?,?)", [.text(shown), .text(node.name), .text(engineID)])
    }

    func removeAlias(_ shown: String, at node: NodeID) throws(FrontDoorError) {
        try runLightly("DELETE FROM alias WHERE shown = ? AND node = ?", [.text(shown), .text(node.name)])
    }

    /// The create request of a container, as its client sent it.
    func asked(of container: String) throws(FrontDoorError) -> (head: ByteBuffer, body: ByteBuffer)? {
        var found: (ByteBuffer, ByteBuffer)?
        try database.query("SELECT head, body FROM asked WHERE container = ?", [.text(container)]) { row in
            found = (ByteBuffer(bytes: row.blob(0)), ByteBuffer(bytes: row.blob(1)))
        }
        return found
    }

    func putAsked(_ container: String, head: ByteBuffer, body: ByteBuffer) throws(FrontDoorError) {
        try runLightly(
            "INSERT OR REPLACE INTO asked VALUES(?,?,?)",
            [.text(container), .blob(Array(head.readableBytesView)), .blob(Array(body.readableBytesView))])
    }

    func removeAsked(_ container: String) throws(FrontDoorError) {
        try runLightly("DELETE FROM asked WHERE container = ?", [.text(container)])
    }
}
