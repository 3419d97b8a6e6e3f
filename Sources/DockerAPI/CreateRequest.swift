package import Fleet
package import NIOCore

/// The body of `POST /containers/create`: what placement and the guard need of it, beside the whole of it.
///
/// Fields are found as the engine's decoder finds them (case does not count); two members that the engine would take for
/// one field are refused, so that no filter can look at one while the engine obeys the other.
package struct CreateRequest: Sendable, Hashable {
    /// Everything that was sent, for rewriting; see `withExplicitHostConfig()`.
    package var json: JSON

    package let image: String
    package let command: [String]
    package let entrypoint: [String]
    package let environment: [String]
    package let labels: [String: String]
    package let user: String
    package let tty: Bool
    package let openStdin: Bool
    package let stdinOnce: Bool
    package let attachStdin: Bool
    package let attachStdout: Bool
    package let attachStderr: Bool
    package let host: HostOptions
    /// Networks named in NetworkingConfig.
    package let endpoints: [String]

    /// - Throws: `DockerFailure` 400 when it is not JSON, names a field twice, or a field has the wrong type.
    package init(_ body: ByteBuffer) throws(DockerFailure) {
        let json: JSON
        do throws(JSONError) {
            json = try JSON.parse(body, rejectDuplicates: true)
        } catch {
            throw DockerFailure(status: 400, message: error.description)
        }
        try self.init(json: json)
    }

    package init(json: JSON) throws(DockerFailure) {
        let root = GoValue(json: json, path: "")
        guard case .object = json else {
            throw DockerFailure(status: 400, message: "invalid JSON: the body is not an object")
        }
        self.json = json
        image = try root.member("Image").string()
        command = try root.member("Cmd").words()
        entrypoint = try root.member("Entrypoint").words()
        environment = try root.member("Env").strings()
        var labels: [String: String] = [:]
        for (key, value) in try root.member("Labels").map() { labels[key] = try value.string() }
        self.labels = labels
        user = try root.member("User").string()
        tty = try root.member("Tty").bool()
        openStdin = try root.member("OpenStdin").bool()
        stdinOnce = try root.member("StdinOnce").bool()
        attachStdin = try root.member("AttachStdin").bool()
        attachStdout = try root.member("AttachStdout").bool()
        attachStderr = try root.member("AttachStderr").bool()
        let inner = try root.member("HostConfig")
        host = try HostOptions(inner.json.isNull ? GoValue(json: json, path: "HostConfig") : inner, legacy: root)
        endpoints = try root.member("NetworkingConfig").member("EndpointsConfig").map().map(\.key)
    }

    /// The request with every host option in HostConfig, where a filter looks.
    ///
    /// Engines before 23.0 take host options from the top level: all of them when there is no HostConfig, a few beside it. A
    /// guard that only looks into HostConfig would let `{"Privileged":true}` through.
    package func withExplicitHostConfig() -> JSON {
        var result = json
        let inner = json.value(named: "HostConfig") ?? .null
        var host = inner.isNull ? JSON.object(JSONObject()) : inner
        for name in HostOptions.fieldNames {
            guard let value = json.value(named: name) else { continue }
            result.remove(named: name)
            let counts = inner.isNull || HostOptions.inheritedNames.contains(name)
            let isUnset = [nil, .null, .number("0"), .string("")].contains(host.value(named: name))
            if counts, isUnset { host.set(value, named: name) }
        }
        result.set(host, named: "HostConfig")
        return result
    }

    /// What the container may use at most; zero where it sets no limit.
    package var resources: Resources {
        var cpus = Double(host.nanoCPUs) / 1e9
        if cpus == 0, host.cpuQuota > 0 {
            cpus = Double(host.cpuQuota) / Double(host.cpuPeriod > 0 ? host.cpuPeriod : 100_000)
        }
        return Resources(cpus: max(0, cpus), memory: ByteCount(max(0, host.memory)))
    }

    /// A stable fingerprint of image, entrypoint and command: 16 hex digits, under which durations are learned.
    package var workKey: String {
        var hash = FNV64()
        hash.add(image)
        hash.add(list: entrypoint)
        hash.add(list: command)
        return hash.hex
    }
}

/// FNV-1a, 64 bits; stable across processes and versions, unlike `Hasher`.
private struct FNV64 {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    private mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }

    /// Text and a terminator that no UTF-8 holds, so that `["a b"]` is not `["a", "b"]`.
    mutating func add(_ text: String) {
        for byte in text.utf8 { add(byte) }
        add(0xff)
    }

    mutating func add(list: [String]) {
        for text in list { add(text) }
        add(0xfe)
    }

    var hex: String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}
