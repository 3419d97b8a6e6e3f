package import DockerAPI
package import NIOCore

/// One of the engine's events: a container started, an image was pulled.
package struct EngineEvent: Sendable, Hashable {
    /// `container`, `image`, `network`, `volume`, `daemon`…
    package var type: String
    /// `create`, `start`, `die`, `destroy`, `exec_start: sh`…, in Docker's words whatever the engine's are.
    package var action: String
    /// The id of what it happened to; for volumes the name.
    package var actorID: String
    package var attributes: [String: String]
    /// By the engine's clock, in nanoseconds since 1970.
    package var timeNano: Int64
    /// The JSON as it came, without the line feed.
    package var raw: ByteBuffer

    /// - Throws: `JSONError` when it is not a JSON object. Missing fields are empty.
    package init(_ raw: ByteBuffer) throws(JSONError) {
        let json = try JSON.parse(raw)
        guard case .object = json else { throw JSONError(offset: 0, message: "an event is an object") }
        let actor = json["Actor"]
        type = json["Type"]?.stringValue ?? ""
        action = EventAction.canonical(json["Action"]?.stringValue ?? json["status"]?.stringValue ?? "", of: type)
        actorID = actor?["ID"]?.stringValue ?? json["id"]?.stringValue ?? ""
        attributes = [:]
        for member in actor?["Attributes"]?.objectValue?.members ?? [] {
            attributes[member.key] = member.value.stringValue
        }
        timeNano = json["timeNano"]?.intValue ?? (json["time"]?.intValue ?? 0).multipliedSaturating(by: 1_000_000_000)
        self.raw = raw
    }
}

extension Int64 {
    fileprivate func multipliedSaturating(by factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? (self < 0 ? .min : .max) : product
    }
}
