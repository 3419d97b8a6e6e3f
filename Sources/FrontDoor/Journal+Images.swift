internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images

/// Images that only other nodes have.
extension Journal {
    static let awayImageTable =
        "CREATE TABLE IF NOT EXISTS away_image(name TEXT PRIMARY KEY, id TEXT NOT NULL, node TEXT NOT NULL, "
        + "document TEXT NOT NULL) WITHOUT ROWID"

    func awayImages() throws(FrontDoorError) -> [(name: String, id: LayerDigest, node: NodeID)] {
        var found: [(name: String, id: LayerDigest, node: NodeID)] = []
        try database.query("SELECT name, id, node FROM away_image") { row in
            guard let id = LayerDigest(row.text(1)), let node = try? NodeID(row.text(2)) else { return }
            found.append((row.text(0), id, node))
        }
        return found
    }

    /// What is known of the image of this name; nil where nothing is.
    func awayImage(_ name: String) throws(FrontDoorError) -> JSON? {
        var found: JSON?
        try database.query("SELECT document FROM away_image WHERE name = ?", [.text(name)]) { row in
            found = try? JSON.parse(Array(row.text(0).utf8))
        }
        return found
    }

    func putAwayImage(_ name: String, _ image: AwayImage) throws(FrontDoorError) {
        try database.run(
            "INSERT OR REPLACE INTO away_image VALUES(?,?,?,?)",
            [.text(name), .text("\(image.id)"), .text(image.node.name), .text(image.document.text)])
    }

    func removeAwayImage(_ name: String) throws(FrontDoorError) {
        try database.run("DELETE FROM away_image WHERE name = ?", [.text(name)])
    }
}
