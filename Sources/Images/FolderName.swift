/// The names that engines before Docker 25 give to the folders of an archive's layers.
///
/// A folder holds the layer's tar and a `json`, and its name is the SHA-256 of that `json` with the layer's chain id put into
/// it (moby's image/v1 CreateID). So the name proves which layer it is, although only the archive's end lists them.
enum FolderName {
    /// The longest `json` that is looked at: it repeats the image's configuration.
    static let limit = 1 << 20

    /// Which layer of a chain the folder is for; nil where none fits.
    static func position(of folder: String, json: [UInt8], in chainIDs: [LayerDigest]) -> Int? {
        guard var members = JSONMembers.split(json) else { return nil }
        members.removeAll { $0.name == "id" }
        for index in members.indices where members[index].name == "parent" {
            // `"HEX"` there, `"sha256:HEX"` in what the name was made from.
            members[index].value = Array(#""sha256:"#.utf8) + members[index].value.dropFirst()
        }
        for isWithSystem in [false, true] {
            // For all layers but the top one `os` is added after the name has been made.
            let named = isWithSystem ? members : members.filter { $0.name != "os" }
            for (position, chain) in chainIDs.enumerated() where digest(of: named, chain).hex == folder {
                return position
            }
        }
        return nil
    }

    private static func digest(of members: [JSONMembers.Member], _ chain: LayerDigest) -> LayerDigest {
        let layer = JSONMembers.Member(name: "layer_id", value: Array("\"\(chain)\"".utf8))
        return LayerDigest(of: JSONMembers.join(members + [layer]))
    }
}

/// A JSON object as its members' own bytes, so that what is put together again is what Go wrote.
enum JSONMembers {
    struct Member {
        var name: String
        var value: [UInt8]
    }

    /// Splits an object without spaces, as Go writes it; nil for anything else.
    static func split(_ json: [UInt8]) -> [Member]? {
        guard json.first == UInt8(ascii: "{"), json.last == UInt8(ascii: "}") else { return nil }
        var members: [Member] = []
        var rest = json.dropFirst().dropLast()
        while !rest.isEmpty {
            let piece = rest.prefix(piece(rest))
            rest = rest.dropFirst(piece.count + 1)
            guard let colon = piece.firstIndex(of: UInt8(ascii: ":")), piece.first == UInt8(ascii: "\"") else {
                return nil
            }
            let name = piece[piece.startIndex..<colon].dropFirst().dropLast()
            members.append(Member(name: String(decoding: name, as: UTF8.self), value: Array(piece[(colon + 1)...])))
        }
        return members
    }

    /// Without the spaces that other writers put between values.
    static func compact(_ json: [UInt8]) -> [UInt8] {
        var isText = false
        var isEscaped = false
        return json.filter { byte in
            if isText {
                isText = isEscaped || byte != UInt8(ascii: "\"")
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
                return true
            }
            isText = byte == UInt8(ascii: "\"")
            return ![0x20, 0x09, 0x0a, 0x0d].contains(byte)
        }
    }

    /// How far it is to the next comma outside of strings and brackets.
    private static func piece(_ bytes: ArraySlice<UInt8>) -> Int {
        var depth = 0
        var isText = false
        var isEscaped = false
        for (offset, byte) in bytes.enumerated() {
            if isText {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isText = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isText = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: ",") where depth == 0: return offset
            default: break
            }
        }
        return bytes.count
    }

    /// In the order of their names, as Go writes a map.
    static func join(_ members: [Member]) -> [UInt8] {
        var json = [UInt8(ascii: "{")]
        for (index, member) in members.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }).enumerated()
        {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            json += Array("\"\(member.name)\":".utf8) + member.value
        }
        return json + [UInt8(ascii: "}")]
    }
}
