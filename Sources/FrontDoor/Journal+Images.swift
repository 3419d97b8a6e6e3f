internal import DockerAPI
internal import Engine
internal import Fleet
internal import Images

/// Images that only other nodes have.
extension Journal {
    static let awayImageTable =
        "CREATE TABLE IF NOT EXISTS away_image(name TEXT PRIMARY KEY, id TEXT NOT NULL, node TEXT NOT NULL, "
        + "document TEXT NOT NULL) WITHOUT ROWID"

    static let imageNameTable =
        "CREATE TABLE IF NOT EXISTS image_name(node TEXT NOT NULL, here TEXT NOT NULL, there TEXT NOT NULL, "
        + "PRIMARY KEY(node, here)) WITHOUT ROWID"

    func imageNames() throws(FrontDoorError) -> [(node: NodeID, here: String, there: String)] {
        var found: [(node: NodeID, here: String, there: String)] = []
        try database.query("SELECT node, here, there FROM image_name") { row in
            guard let node = try? NodeID(row.text(0)) else { return }
            found.append((node, row.text(1), row.text(2)))
        }
        return found
    }

    /// Not as durable as a route: what is lost costs another shipment.
    func put(imageName there: String, of here: String, at node: NodeID) throws(FrontDoorError) {
        try runLightly(
            "INSERT OR REPLACE INTO image_name VALUES(?,?,?)", [.text(node.name), .text(here), .text(there)])
    }

    func removeImageName(of here: String, at node: NodeID) throws(FrontDoorError) {
        try runLightly("DELETE FROM image_name WHERE node = ? AND here = ?", [.text(node.name), .text(here)])
    }

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
