internal import DockerAPI
internal import Fleet

/// Networks and volumes of this device that are elsewhere, too, across restarts.
extension Journal {
    func makeObjectTables() throws(FrontDoorError) {
        try database.run("CREATE TABLE IF NOT EXISTS network(id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID")
        try database.run("CREATE TABLE IF NOT EXISTS volume(name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID")
    }

    func networks() throws(FrontDoorError) -> [String: JSON] { try records("network", key: "id") }

    func volumes() throws(FrontDoorError) -> [String: JSON] { try records("volume", key: "name") }

    /// - Parameter record: nil removes it.
    func put(network id: String, _ record: JSON?) throws(FrontDoorError) { try put("network", key: "id", id, record) }

    func put(volume name: String, _ record: JSON?) throws(FrontDoorError) {
        try put("volume", key: "name", name, record)
    }

    private func records(_ table: String, key: String) throws(FrontDoorError) -> [String: JSON] {
        var found: [String: JSON] = [:]
        try database.query("SELECT \(key), record FROM \(table)") { row in
            found[row.text(0)] = try? JSON.parse(Array(row.text(1).utf8))
        }
        return found
    }

    private func put(_ table: String, key: String, _ id: String, _ record: JSON?) throws(FrontDoorError) {
        if let record {
            try database.run("INSERT OR REPLACE INTO \(table) VALUES(?,?)", [.text(id), .text(record.text)])
        } else {
            try database.run("DELETE FROM \(table) WHERE \(key) = ?", [.text(id)])
        }
    }
}
