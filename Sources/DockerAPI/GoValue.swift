/// Reads a member as Go's decoder would into a field of that type: absent and null are the zero value, another type is 400.
struct GoValue {
    let json: JSON
    /// Where it was found, for messages; joined only when there is one.
    private let parent: String
    private let name: String

    init(json: JSON, path: String) {
        self.init(json: json, parent: "", name: path)
    }

    private init(json: JSON, parent: String, name: String) {
        self.json = json
        self.parent = parent
        self.name = name
    }

    /// `HostConfig.Binds`.
    private var path: String { parent.isEmpty ? name : "\(parent).\(name)" }

    private func mismatch(_ wanted: String) -> DockerFailure {
        let found =
            switch json {
            case .null: "null"
            case .bool: "bool"
            case .number(let text): "number \(text)"
            case .string: "string"
            case .array: "array"
            case .object: "object"
            }
        return DockerFailure(
            status: 400, message: "json: cannot unmarshal \(found) into Go struct field \(path) of type \(wanted)")
    }

    func member(_ name: String) throws(DockerFailure) -> GoValue {
        if case .null = json { return GoValue(json: .null, parent: path, name: name) }
        guard case .object(let object) = json else { throw mismatch("struct") }
        return GoValue(json: object.value(named: name) ?? .null, parent: path, name: name)
    }

    func string() throws(DockerFailure) -> String {
        if case .null = json { return "" }
        guard case .string(let text) = json else { throw mismatch("string") }
        return text
    }

    func bool() throws(DockerFailure) -> Bool {
        if case .null = json { return false }
        guard case .bool(let value) = json else { throw mismatch("bool") }
        return value
    }

    func int() throws(DockerFailure) -> Int64 {
        if case .null = json { return 0 }
        guard let value = json.intValue else { throw mismatch("int64") }
        return value
    }

    func list() throws(DockerFailure) -> [GoValue] {
        if case .null = json { return [] }
        guard case .array(let items) = json else { throw mismatch("[]") }
        return items.map { GoValue(json: $0, parent: parent, name: name) }
    }

    func strings() throws(DockerFailure) -> [String] {
        var result: [String] = []
        for item in try list() { result.append(try item.string()) }
        return result
    }

    /// A Go `strslice.StrSlice`: one string stands for a list of one.
    func words() throws(DockerFailure) -> [String] {
        if case .string(let text) = json { return [text] }
        return try strings()
    }

    /// A Go map: keys are compared exactly, the last of equal keys wins.
    func map() throws(DockerFailure) -> [(key: String, value: GoValue)] {
        if case .null = json { return [] }
        guard case .object(let object) = json else { throw mismatch("map[string]") }
        return object.members.map { ($0.key, GoValue(json: $0.value, parent: parent, name: name)) }
    }
}
