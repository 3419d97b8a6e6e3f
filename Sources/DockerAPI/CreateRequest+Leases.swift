extension CreateRequest {
    /// The label by which a front door tells a guard that a container may run there only while its lease stands.
    package static let exclusiveLabel = "io.lighter.exclusive"
    /// Where such a container has the file without which its engine cannot start it.
    package static let gateTarget = "/dev/.lighter-lease"
}

extension JSON {
    /// A create request's body for a container whose users know it by another id than its engine will draw: its host name is
    /// of the id that they know, as an engine would have it.
    package func withHostname(ofID id: String) -> JSON {
        let mode = value(named: "HostConfig")?.value(named: "NetworkMode")?.stringValue ?? ""
        guard value(named: "Hostname")?.stringValue?.isEmpty ?? true, mode != "host", !mode.hasPrefix("container:")
        else {
            return self
        }
        var body = self
        body.set(.string(String(id.prefix(12))), named: "Hostname")
        return body
    }
}
