package import DockerAPI
import Fleet

/// Makes a create request that came from another node one that cannot reach this node's host.
///
/// Pure: what the caller may refer to is in the profile. The list of fields is that of Docker's API up to 1.50.
package struct CreateSanitizer: Sendable {
    let profile: CreateProfile

    package init(profile: CreateProfile) { self.profile = profile }

    /// The body to send to the engine.
    ///
    /// - Parameter labels: whose work it is; they replace whatever the caller says under `io.lighter.`.
    /// - Throws: 403 naming the field that is not admitted and why, 400 when the body is not a create request.
    package func sanitize(_ body: JSON, labels: WorkloadLabels) throws(DockerFailure) -> JSON {
        var top = try Self.container.rebuild(body, at: "", in: profile)
        var host: [(String, JSON)] = []
        if case .object(let object)? = top.first("HostConfig") { host = object.members.map { ($0.key, $0.value) } }
        limitPids(&host)
        addGate(&host)
        top.removeAll { $0.0 == "HostConfig" || $0.0 == "Labels" }
        top.append(("Labels", merged(body, labels)))
        top.append(("HostConfig", .object(host)))
        return .object(top)
    }

    /// The caller's references to other containers, which the profile must know before `sanitize`.
    package static func references(in body: JSON) -> [String] {
        var references: [String] = []
        for (_, endpoint) in endpoints(in: body) { references += links(endpoint.value(named: "Links")) }
        guard let host = body.value(named: "HostConfig") else { return references }
        references += links(host.value(named: "Links"))
        for name in ["NetworkMode", "IpcMode", "PidMode"] {
            if case .string(let mode)? = host.value(named: name), let reference = containerReference(mode) {
                references.append(reference)
            }
        }
        if case .array(let items)? = host.value(named: "VolumesFrom") {
            for case .string(let item) in items { references.append(volumesFrom(item).reference) }
        }
        return references.filter { !$0.isEmpty }
    }

    private static func links(_ value: JSON?) -> [String] {
        (value?.arrayValue ?? []).compactMap(\.stringValue).map { link($0).reference }.filter { !$0.isEmpty }
    }

    private static func endpoints(in body: JSON) -> [(String, JSON)] {
        let networking = body.value(named: "NetworkingConfig")
        guard case .object(let endpoints)? = networking?.value(named: "EndpointsConfig") else { return [] }
        return endpoints.members.map { ($0.key, $0.value) }
    }

    /// The networks that the body names, besides those that every engine has.
    package static func networks(in body: JSON) -> [String] {
        var names = endpoints(in: body).map(\.0)
        if case .string(let mode)? = body.value(named: "HostConfig")?.value(named: "NetworkMode") { names.append(mode) }
        return names.filter { !isPlainNetwork($0) && $0 != "host" && containerReference($0) == nil }
    }

    /// The named volumes that the body mounts.
    package static func volumes(in body: JSON) -> [String] {
        guard let host = body.value(named: "HostConfig") else { return [] }
        var names: [String] = []
        for case .string(let bind) in host.value(named: "Binds")?.arrayValue ?? [] {
            let parts = bind.split(separator: ":", omittingEmptySubsequences: false)
            if parts.count > 1 { names.append(String(parts[0])) }
        }
        for mount in host.value(named: "Mounts")?.arrayValue ?? []
        where mount.value(named: "Type")?.stringValue == "volume" {
            names.append(mount.value(named: "Source")?.stringValue ?? "")
        }
        return names.filter { Admission.isReference($0) }
    }

    private func limitPids(_ host: inout [(String, JSON)]) {
        if let limit = host.first("PidsLimit"), !limit.isZero { return }
        host.removeAll { $0.0 == "PidsLimit" }
        host.append(("PidsLimit", .number(String(profile.policy.defaultPids))))
    }

    /// The caller's labels without Lighter's, then Lighter's.
    private func merged(_ body: JSON, _ labels: WorkloadLabels) -> JSON {
        var pairs: [(String, JSON)] = []
        var labels = labels
        if case .object(let own)? = body.value(named: "Labels") {
            for member in own.members {
                let (key, value) = (member.key, member.value)
                if key == WorkloadLabels.image, case .string(let image) = value, image.utf8.count <= 512 {
                    labels.image = image
                }
                if key == WorkloadLabels.container, case .string(let id) = value, Self.isContainerID(id) {
                    labels.container = id
                }
                if !key.utf8.starts(with: WorkloadLabels.prefix.utf8) { pairs.append((key, value)) }
            }
        }
        if profile.isPodman {
            // An image's own label counts where the container has none.
            pairs.removeAll { $0.0 == CreateRequest.updateLabel }
            pairs.append((CreateRequest.updateLabel, "disabled"))
        }
        if labels.image.isEmpty, case .string(let image)? = body.value(named: "Image") { labels.image = image }
        return .object(pairs + labels.pairs.map { ($0.key, .string($0.value)) })
    }

    private static func isContainerID(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Without its source, which is there for as long as the lease stands, no engine starts the container.
    private func addGate(_ host: inout [(String, JSON)]) {
        guard let gate = profile.gate else { return }
        var mounts: [JSON] = if case .array(let mounts)? = host.first("Mounts") { mounts } else { [] }
        mounts.append([
            "Type": "bind", "Source": .string(gate), "Target": .string(LeaseFolder.mountTarget), "ReadOnly": true,
        ])
        host.removeAll { $0.0 == "Mounts" }
        host.append(("Mounts", .array(mounts)))
    }

    /// Whether its origin wishes that it never runs twice.
    static func isExclusive(_ body: JSON) -> Bool {
        body.value(named: "Labels")?[WorkloadLabels.exclusive]?.stringValue == "true"
    }

    static let container = FieldTable([
        .text("Hostname"), .text("Domainname"), .text("User"), .flag("AttachStdin"), .flag("AttachStdout"),
        .flag("AttachStderr"), .set("ExposedPorts"), .flag("Tty"), .flag("OpenStdin"), .flag("StdinOnce"),
        .texts("Env"), .command("Cmd"), .structure("Healthcheck", healthcheck), .flag("ArgsEscaped"), .text("Image"),
        .set("Volumes"), .text("WorkingDir"), .command("Entrypoint"), .flag("NetworkDisabled"),
        .refused("MacAddress", ownAddresses), .texts("OnBuild"), .map("Labels"), .text("StopSignal"),
        .integer("StopTimeout"), .texts("Shell"), .structure("HostConfig", host),
        .structure("NetworkingConfig", networking),
    ])

    static let healthcheck = FieldTable([
        .texts("Test"), .integer("Interval", notNegative), .integer("Timeout", notNegative),
        .integer("StartPeriod", notNegative), .integer("StartInterval", notNegative), .integer("Retries", notNegative),
    ])

    static let ownAddresses = "addresses on this node's network are given out by its own engine"
}

/// `REF` of `container:REF`.
func containerReference(_ mode: String) -> String? {
    mode.utf8.starts(with: "container:".utf8) ? String(mode.dropFirst("container:".count)) : nil
}

/// `REF` and `ALIAS` of `REF:ALIAS`; an engine takes the one for the other where it stands alone.
func link(_ text: String) -> (reference: String, alias: String) {
    guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return (text, text) }
    return (String(text[..<colon]), String(text[text.utf8.index(after: colon)...]))
}

/// `REF` and `:ro` of `REF:ro`.
func volumesFrom(_ text: String) -> (reference: String, mode: String) {
    guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return (text, "") }
    return (String(text[..<colon]), String(text[colon...]))
}

@Sendable func notNegative(_ value: Int64, _ path: String, _ profile: CreateProfile) throws(DockerFailure) {
    guard value >= 0 else { throw profile.malformed(path, "must not be negative") }
}
