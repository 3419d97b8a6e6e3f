internal import DockerAPI
internal import Fleet

/// A `POST /build`, as far as it says where the build may happen.
struct BuildRequest: Sendable {
    /// Parameters that mean the same at every engine, or concern only the answer.
    private static let passed: Set<String> = [
        "dockerfile", "q", "nocache", "rm", "forcerm", "memory", "memswap", "cpushares", "cpuperiod", "cpuquota",
        "buildargs", "shmsize", "labels", "target", "networkmode", "extrahosts",
    ]
    private static let setAside: Set<String> = ["t", "version", "buildid"]
    /// The same, of builds by BuildKit.
    private static let passedByKit: Set<String> = ["session", "remote", "outputs"]

    /// Names for the image.
    var tags: [ImageReference] = []
    var dockerfile: String
    var arguments: [String: String] = [:]
    var labels: [(key: String, value: String)] = []
    var resources = Resources.none
    /// Why it cannot leave this device, as a person reads it.
    var ties: [String] = []
    var isQuiet: Bool { query.flag("q") }
    /// Of a build by BuildKit, the session in which its client serves the context; nil for the classic builder.
    let session: String?
    /// By which its client may take it back, in a request of its own.
    var cancelID: String? { query.first("buildid").flatMap { $0.isEmpty ? nil : $0 } }
    /// Whether the result goes to the client as files, and is no image.
    var goesToFiles: Bool { !Self.isNothing(query.first("outputs") ?? "") }
    private let query: Query

    init(_ head: RequestHead, _ query: Query) {
        self.query = query
        session = query.first("version") == "2" ? query.first("session").flatMap { $0.isEmpty ? nil : $0 } : nil
        dockerfile = query.first("dockerfile").flatMap { $0.isEmpty ? nil : $0 } ?? "Dockerfile"
        arguments = Dictionary(Self.texts(query.first("buildargs")) ?? []) { $1 }
        labels = Self.texts(query.first("labels")) ?? []
        tags = query.all("t").filter { !$0.isEmpty }.compactMap { ImageReference($0) }
        resources.memory = ByteCount(query.first("memory").flatMap { Int64($0) } ?? 0)
        if let quota = query.first("cpuquota").flatMap({ Double($0) }), quota > 0 {
            resources.cpus =
                quota / (query.first("cpuperiod").flatMap { Double($0) }.flatMap { $0 > 0 ? $0 : nil } ?? 100_000)
        }
        note(head)
    }

    private mutating func note(_ head: RequestHead) {
        if session != nil {
            noteKit()
        } else if let version = query.first("version"), !["", "1"].contains(version) {
            ties.append("a build by BuildKit without a session")
        }
        if head.headers.contains("Content-Encoding") { ties.append("a context that is compressed") }
        if tags.count != query.all("t").count(where: { !$0.isEmpty }) { ties.append("a name that is none") }
        if Self.texts(query.first("buildargs")) == nil || Self.texts(query.first("labels")) == nil {
            ties.append("arguments or labels that are none")
        }
        if !["", "default", "bridge", "none"].contains(query.first("networkmode") ?? "") {
            ties.append("network \(query.first("networkmode") ?? "")")
        }
        if query.all("extrahosts").contains(where: { $0.contains("host-gateway") }) { ties.append("host-gateway") }
        for pair in query.pairs where !Self.passed.contains(pair.name) && !Self.setAside.contains(pair.name) {
            if session != nil, Self.passedByKit.contains(pair.name) { continue }
            if !Self.isNothing(pair.value) { ties.append(pair.name) }
        }
    }

    /// A client spells out what it does not ask for.
    private static func isNothing(_ value: String) -> Bool {
        ["", "0", "no", "none", "false", "null", "[]", "{}"].contains(value.lowercased())
    }

    private mutating func noteKit() {
        if query.first("remote") != "client-session" { ties.append("a context that is not its client's folder") }
        if dockerfile.contains("/") { ties.append("a Dockerfile in a folder of its own") }
        guard goesToFiles else { return }
        let outputs = try? JSON.parse(Array((query.first("outputs") ?? "").utf8)).arrayValue
        guard let outputs, outputs.count == 1, ["local", "tar"].contains(outputs[0]["Type"]?.stringValue) else {
            ties.append("an output that is neither an image nor files")
            return
        }
    }

    /// What another node is asked for: no names, as those are this device's.
    func away(dockerfile: String) -> Query {
        var away = Query()
        for pair in query.pairs where Self.passed.contains(pair.name) { away.append(pair.name, pair.value) }
        away.set("dockerfile", dockerfile)
        guard let session else { return away }
        away.set("version", "2")
        away.set("session", session)
        away.set("remote", "client-session")
        if goesToFiles { away.set("outputs", query.first("outputs") ?? "") }
        return away
    }

    /// A map of texts in JSON; nil for anything else. A null in it is an argument of the client's environment.
    private static func texts(_ json: String?) -> [(key: String, value: String)]? {
        guard let json, !json.isEmpty, json != "null" else { return [] }
        guard let members = (try? JSON.parse(Array(json.utf8)))?.objectValue?.members else { return nil }
        return members.compactMap { member in member.value.stringValue.map { (member.key, $0) } }
    }
}
