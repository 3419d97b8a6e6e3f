internal import BuildKit
internal import DockerAPI
internal import NIOCore

/// What a client asks of BuildKit's control service, in the words of `POST /build`.
struct KitSolve: Sendable {
    let ref: String
    let session: String
    /// Names for the image.
    private var names: [String] = []
    private var output: (type: String, attributes: [(key: String, value: String)])?
    /// Why it cannot be said in those words.
    private var doubt: String?
    /// Whether its client wants to know something of BuildKit, and nothing built.
    let isQuestion: Bool

    /// Reads `moby.buildkit.v1.SolveRequest`.
    init(_ message: ProtoMessage) throws {
        ref = message.text(1)
        session = message.text(5)
        isQuestion = message.number(11) == 1
        var exporters = [(type: message.text(3), attributes: try message.map(4))]
        let listed = message.all(13)
        if !listed.isEmpty {
            exporters = try listed.map {
                let exporter = try ProtoMessage($0)
                return (exporter.text(1), try exporter.map(2))
            }
        }
        // 1 ref, 3 and 4 exporter, 5 session, 6 and 7 frontend, 8 cache, 9 entitlements, 11 internal, 13 exporters.
        let known: Set<Int> = [1, 3, 4, 5, 6, 7, 8, 9, 11, 13]
        if message.fields.contains(where: { !known.contains($0.number) }) { doubt = "parameters that are not known" }
        if !message.text(6).isEmpty { doubt = "a frontend from the start" }
        // Options are told again with the frontend, and count there; caches count here.
        if try message.map(7).contains(where: { $0.key.hasPrefix("cache-") && !$0.value.isEmpty }) {
            doubt = "a cache of its own"
        }
        if message.all(8).contains(where: { $0.readableBytes > 0 }) { doubt = "a cache of its own" }
        if !message.all(9).isEmpty { doubt = "entitlements" }
        guard exporters.count == 1, let exporter = exporters.first else {
            doubt = "several outputs"
            return
        }
        try take(exporter)
    }

    private mutating func take(_ exporter: (type: String, attributes: [(key: String, value: String)])) throws {
        switch exporter.type {
        case "moby", "image":
            for (key, value) in exporter.attributes {
                switch key {
                case "name": names += value.split(separator: ",").map(String.init)
                case "push" where value == "false" || value.isEmpty: break
                // It is loaded in any case.
                case "load": break
                default: doubt = "an image made with \(key)"
                }
            }
        case "local", "tar": output = exporter
        default: doubt = "an output that is neither an image nor files"
        }
    }

    /// The parameters of the same build, given what a client asks of the frontend, and why they are not all.
    func query(_ frontend: ProtoMessage) throws -> (query: Query, doubt: String?) {
        var doubt = doubt
        // 2 frontend, 3 its options, 5 and 6 how the result is told, 12 caches, 14 that all is to be done now.
        let known: Set<Int> = [2, 3, 5, 6, 14]
        if !frontend.fields.allSatisfy({ known.contains($0.number) }) { doubt = "more than a Dockerfile" }
        if frontend.text(2) != "dockerfile.v0" || frontend.number(5) != 1 { doubt = "no Dockerfile" }
        var query = Query()
        query.set("version", "2")
        query.set("session", session)
        query.set("remote", "client-session")
        for name in names { query.append("t", name) }
        var arguments = JSONObject()
        var labels = JSONObject()
        for (key, value) in try frontend.map(3).sorted(by: { $0.key < $1.key }) {
            switch key {
            case "filename": query.set("dockerfile", value)
            case "target": query.set("target", value)
            case "no-cache" where value.isEmpty: query.set("nocache", "1")
            case "image-resolve-mode" where value == "pull": query.set("pull", "1")
            case "image-resolve-mode": break
            case "force-network-mode": query.set("networkmode", value)
            case "shm-size": query.set("shmsize", value)
            case "add-hosts":
                for host in value.split(separator: ",") {
                    query.append("extrahosts", String(host.replacing("=", with: ":", maxReplacements: 1)))
                }
            // Where the sources are from: it would only be told in what is attested of an image.
            case let key where key.hasPrefix("vcs:"): break
            // What clients ask for by themselves of an engine that can keep it, and do without at others.
            case "attest:provenance" where value.split(separator: ",").contains("inline-only=true"): break
            case let key where key.hasPrefix("build-arg:"):
                arguments[String(key.dropFirst("build-arg:".count))] = .string(value)
            case let key where key.hasPrefix("label:"):
                labels[String(key.dropFirst("label:".count))] = .string(value)
            default: doubt = "the option \(key)"
            }
        }
        query.set("buildargs", JSON.object(arguments).text)
        query.set("labels", JSON.object(labels).text)
        if let output {
            let attributes = JSONObject(
                output.attributes.map { JSONObject.Member(key: $0.key, value: .string($0.value)) })
            query.set("outputs", JSON.array([["Type": .string(output.type), "Attrs": .object(attributes)]]).text)
        }
        return (query, doubt)
    }
}
