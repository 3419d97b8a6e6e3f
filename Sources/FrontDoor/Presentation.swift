internal import DockerAPI
internal import Engine
internal import Fleet
internal import NIOCore

/// How a container that runs at another node is shown on its own device: under the name and image it was asked for.
///
/// On the target's engine a container named `web` of device `edge1` is `web.edge1`, so that every device may have a
/// `web`; and its image is a digest. Both are turned back here, in the few places of Docker's JSON where they stand.
struct Presentation: Sendable {
    static let imageLabel = "io.lighter.image"
    static let containerLabel = "io.lighter.container"

    let origin: NodeID

    /// `/web.edge1` and `web.edge1` as the user knows them.
    func name(_ shown: String) -> String {
        let suffix = ".\(origin)"
        return shown.hasSuffix(suffix) ? String(shown.dropLast(suffix.utf8.count)) : shown
    }

    /// The name on the target's engine.
    func nameAtTarget(_ name: String) -> String { name.isEmpty ? "" : "\(name).\(origin)" }

    /// One element of `GET /containers/json`.
    func listed(_ container: JSON) -> JSON {
        var container = container
        if let names = container["Names"]?.arrayValue {
            container["Names"] = .array(names.map { .string(name($0.stringValue ?? "")) })
        }
        if let image = container["Labels"]?[Self.imageLabel]?.stringValue, !image.isEmpty {
            container["Image"] = .string(image)
        }
        return container
    }

    /// `GET /containers/ID/json`.
    func inspected(_ container: JSON) -> JSON {
        var container = container
        if let name = container["Name"]?.stringValue { container["Name"] = .string(self.name(name)) }
        if var config = container["Config"], let image = config["Labels"]?[Self.imageLabel]?.stringValue, !image.isEmpty
        {
            config["Image"] = .string(image)
            container["Config"] = config
        }
        return container
    }

    /// Labels with the one by which Podman updates containers as it was asked for: a guard sets its own.
    /// - Parameter asked: the labels that the container was created with.
    func labels(_ labels: JSON, asked: [String: String]) -> JSON {
        guard labels[CreateRequest.updateLabel] == "disabled" else { return labels }
        var labels = labels
        labels[CreateRequest.updateLabel] = asked[CreateRequest.updateLabel].map { .string($0) }
        return labels
    }

    /// One document of `GET /events`.
    /// - Parameter network: the device's id of a network of the node's, by its id and its name on the device.
    func event(_ event: JSON, network: (_ id: String, _ name: String) -> String? = { _, _ in nil }) -> JSON {
        guard var actor = event["Actor"], var attributes = actor["Attributes"] else { return event }
        var event = event
        for key in ["name", "oldName"] {
            if let name = attributes[key]?.stringValue { attributes[key] = .string(self.name(name)) }
        }
        if let id = actor["ID"]?.stringValue {
            switch event["Type"]?.stringValue {
            case "network": actor["ID"] = .string(network(id, attributes["name"]?.stringValue ?? "") ?? id)
            case "volume": actor["ID"] = .string(name(id))
            default: break
            }
        }
        attributes = labels(attributes, asked: [:])
        if let image = attributes[Self.imageLabel]?.stringValue, !image.isEmpty {
            attributes["image"] = .string(image)
            if event["from"] != nil { event["from"] = .string(image) }
        }
        actor["Attributes"] = attributes
        event["Actor"] = actor
        return event
    }

    /// One document of `GET /containers/ID/stats`.
    func stats(_ document: JSON) -> JSON {
        var document = document
        if let name = document["name"]?.stringValue {
            // Podman leaves out the slash, which clients drop without looking.
            document["name"] = .string(self.name(name.hasPrefix("/") ? name : "/\(name)"))
        }
        return document
    }

    /// Applies one of the above to a document's bytes; bytes that are not JSON pass as they are.
    func rewriting(_ transform: @escaping @Sendable (JSON) -> JSON) -> @Sendable (ByteBuffer) -> ByteBuffer {
        { document in
            guard let json = try? JSON.parse(document) else { return document }
            var out = ByteBuffer(string: transform(json).text)
            out.writeString("\n")
            return out
        }
    }

    /// The body of an answer by which the target's engine refuses something.
    func refusal(_ body: JSON) -> JSON {
        guard let said = body["message"]?.stringValue else { return body }
        var body = body
        body["message"] = .string(message(said))
        return body
    }

    /// A message of the target's engine in the user's words: `web.edge1` is `web`, `web.edge10` is not.
    func message(_ text: String) -> String {
        let suffix = Array(".\(origin)".utf8)
        var rest = Array(text.utf8)[...]
        var result: [UInt8] = []
        while !rest.isEmpty {
            if rest.starts(with: suffix), !Self.goesOn(rest.dropFirst(suffix.count).first) {
                rest = rest.dropFirst(suffix.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Whether a byte may be part of a name.
    private static func goesOn(_ byte: UInt8?) -> Bool {
        guard let byte else { return false }
        return (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }
}
