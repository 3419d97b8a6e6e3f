import Agent
import Engine
import Fleet
import FoundationEssentials
import Glibc
import Logging

/// A mistake on the command line, in the environment or in the configuration file.
struct OptionError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// What a node daemon is told: by flags, else by `LIGHTER_…` in the environment, else by `DIR/lighterd.conf`.
struct DaemonOptions: Sendable {
    /// Where credentials, journal and the reservation of sequence numbers are kept.
    var state = "/var/lib/lighter"
    /// The device's own engine; nil for `none`.
    var engine: String? = "/var/run/docker.sock"
    /// Where the front door listens.
    var socket = ""
    /// Where gates of exclusive work are made, and its leases written down; on a tmpfs.
    var leases = ""
    var group: String?
    /// The control group whose share of the machine is the node.
    var cgroup: String?
    var policy = PolicyOverrides()
    /// Gateways, `HOST:PORT`, tried in turn.
    var gateways: [String] = []
    /// Where other nodes' direct links are accepted, `HOST:PORT`.
    var listen: String?
    /// What other nodes dial for that, where it differs.
    var advertise: [String] = []
    var tags: [String] = []
    /// Whether this node runs work for others.
    var acceptsWork = true
    var acceptsBuilds = false
    /// Whether layers that others brought here may go on to further nodes.
    var givesLayers = true
    /// What images may take of this disk that others brought here, and for how many seconds an unused one stays at least.
    var imageCache = ImageCacheBound.share(0.2)
    var imageCacheKeep = 900.0
    /// The time between two scans of the engine's whole list; nil for none.
    var scanInterval: Duration? = .seconds(60)
    /// What of the kernel's is listened to, besides the engine's events.
    var eventSources = Set(KernelSource.allCases)
    var logLevel = Logger.Level.info
    /// The largest bind mount that may leave the device; none may when it is zero.
    var preload = 0
    /// What becomes of work of a lost node when that is back.
    var returns = LossPolicy.Return.keepReplacement
    var mountsMaximum = ByteCount.gibibytes(1)

    enum Reading {
        case help
        case version
        case run(DaemonOptions)
    }

    static let help = """
        Usage: lighterd [OPTION VALUE]...
        The node daemon of Lighter: a Docker socket for this device, an agent for the fleet. `lighter join` sets it up.

          --state DIR          credentials and journal (default /var/lib/lighter)
          --config FILE        `key = value` lines with these options' names (default DIR/lighterd.conf)
          --engine ADDRESS     this device's engine, unix:///PATH or none (default unix:///var/run/docker.sock)
          --socket PATH        the Docker socket to serve (default /run/lighter/docker.sock)
          --group NAME         the group that may use it
          --leases DIR         a folder that a boot empties, and that the engine sees too, for the leases of exclusive work
                               (default /run/lighter/leases)
          --cgroup PATH        measure this control group instead of the machine
          --gateway HOST:PORT  the gateway; several with commas
          --policy KIND        local, remote, threshold or completion
          --listen HOST:PORT   accept direct links from other nodes
          --advertise HOST:PORT  the address they dial, where it differs
          --tags A,B=C         words that policies match
          --accept-work BOOL   run containers for other nodes (default true)
          --accept-builds BOOL build images for other nodes, on this machine's network (default false)
          --give-layers BOOL   give layers that others brought here to further nodes of theirs (default true)
          --mounts-max-bytes SIZE  the largest bind mount that leaves the device: 500m, 2g; 0 for none (default 1g)
          --preload N          send images that run here ahead of need to the N likeliest nodes (default 0, at most 8)
          --return POLICY      keep-replacement, or keep-original to move services back to the node that they were lost with
                               (default keep-replacement)
          --image-cache-max-bytes SIZE  what others' images may take here: 20g, 20% of the engine's disk, or off
                               (default 20%); the least recently used go first
          --image-cache-keep TIME  how long an unused one stays at least: 90s, 15m, 2h (default 15m)
          --scan-interval TIME compare the engine's whole list with what its events told: 30s, 5m; 0 for never (default 60s)
          --event-sources LIST what of the kernel's tells of containers before the engine does, where it works: pidfd, cgroup,
                               ebpf, or none (default pidfd,cgroup,ebpf)
          --log-level LEVEL    trace, debug, info, notice, warning, error (default info)
          --help, --version

        Each may also be given as LIGHTER_STATE, LIGHTER_ENGINE and so on.
        """

    private static let keys = [
        "state", "config", "engine", "socket", "leases", "group", "cgroup", "gateway", "policy", "cpu_threshold",
        "memory_threshold", "listen", "advertise", "tags", "accept_work", "accept_builds", "give_layers",
        "mounts_max_bytes",
        "preload", "return", "image_cache_max_bytes", "image_cache_keep", "scan_interval",
        "event_sources",
        "log_level",
    ]

    /// - Throws: `OptionError` naming the option, where it stands and what it takes.
    static func read(
        _ arguments: [String], environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> Reading {
        if arguments.contains("--help") || arguments.contains("-h") { return .help }
        if arguments.contains("--version") { return .version }
        let flags = try self.flags(arguments)
        var values: [String: (value: String, from: String)] = [:]
        for key in keys {
            let variable = "LIGHTER_\(key.uppercased())"
            if let value = environment[variable], !value.isEmpty { values[key] = (value, variable) }
        }
        for (key, value) in flags { values[key] = (value, "--\(key.replacing("_", with: "-"))") }
        let state = values["state"]?.value ?? DaemonOptions().state
        let named = values["config"]?.value
        for (key, value, place) in try file(named ?? "\(state)/lighterd.conf", mustExist: named != nil)
        where values[key] == nil {
            values[key] = (value, place)
        }
        var options = DaemonOptions()
        for key in keys {
            if let (value, place) = values[key] { try options.set(key, value, place) }
        }
        if options.socket.isEmpty {
            options.socket =
                options.state == "/var/lib/lighter" ? "/run/lighter/docker.sock" : "\(options.state)/docker.sock"
        }
        if options.leases.isEmpty {
            options.leases =
                options.state == "/var/lib/lighter" ? "/run/lighter/leases" : "\(options.state)/leases"
        }
        return .run(options)
    }

    private static func flags(_ arguments: [String]) throws(OptionError) -> [String: String] {
        var found: [String: String] = [:]
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else { throw OptionError("unexpected '\(word)'; see lighterd --help") }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(parts[0]).replacing("-", with: "_")
            guard keys.contains(key) else { throw OptionError("there is no option '\(word)'; see lighterd --help") }
            guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                throw OptionError("\(word) takes a value; see lighterd --help")
            }
            found[key] = value
        }
        return found
    }

    private static func file(
        _ path: String, mustExist: Bool
    ) throws(OptionError) -> [(key: String, value: String, place: String)] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            if mustExist || access(path, F_OK) == 0 {
                throw OptionError("cannot read \(path): does it exist, is it yours?")
            }
            return []
        }
        var found: [(String, String, String)] = []
        for (index, line) in String(decoding: data, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false
        ).enumerated() {
            let text = line.trimmed
            if text.isEmpty || text.hasPrefix("#") { continue }
            let place = "\(path):\(index + 1)"
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw OptionError("\(place): write 'key = value'") }
            let key = String(parts[0].trimmed).replacing("-", with: "_")
            guard keys.contains(key) else {
                throw OptionError("\(place): there is no key '\(key)'; there are \(keys.joined(separator: ", "))")
            }
            found.append((key, String(parts[1].trimmed), place))
        }
        return found
    }

    private mutating func set(_ key: String, _ value: String, _ place: String) throws {
        switch key {
        case "state": state = value
        case "engine": engine = try Self.engine(value, place)
        case "socket": socket = value
        case "leases": leases = value
        case "group": group = value
        case "cgroup": cgroup = value
        case "gateway": gateways = value.split(separator: ",").map { String($0.trimmed) }
        case "listen": listen = value
        case "advertise": advertise = value.split(separator: ",").map { String($0.trimmed) }
        case "tags": tags = value.split(separator: ",").map { String($0.trimmed) }.filter { !$0.isEmpty }
        case "accept_work": acceptsWork = try Self.flag(value, place)
        case "accept_builds": acceptsBuilds = try Self.flag(value, place)
        case "give_layers": givesLayers = try Self.flag(value, place)
        case "mounts_max_bytes":
            guard let size = Self.size(value) else {
                throw OptionError("\(place): '\(value)' is no size; write it as in 500m or 2g, or 0 for none")
            }
            mountsMaximum = size
        case "preload":
            guard let count = Int(value), (0...8).contains(count) else {
                throw OptionError("\(place): '\(value)' is no number of nodes from 0 to 8")
            }
            preload = count
        case "return":
            guard let policy = LossPolicy.Return(rawValue: value) else {
                throw OptionError("\(place): '\(value)' is not one of keep-replacement and keep-original")
            }
            returns = policy
        case "image_cache_max_bytes":
            guard let bound = ImageCacheBound(value, sized: Self.size) else {
                throw OptionError("\(place): '\(value)' is no bound; write it as in 500m, 20g or 20%, or off")
            }
            imageCache = bound
        case "image_cache_keep":
            guard let seconds = Self.seconds(value) else {
                throw OptionError("\(place): '\(value)' is no time; write it as in 90s, 15m or 2h")
            }
            imageCacheKeep = seconds
        case "scan_interval":
            guard let interval = value == "0" ? 0 : Self.seconds(value),
                interval == 0 || (1...86_400).contains(interval)
            else {
                throw OptionError(
                    "\(place): '\(value)' is no time from 1s to 24h; write it as in 30s or 5m, or 0 for never")
            }
            scanInterval = interval == 0 ? nil : .seconds(interval)
        case "event_sources":
            eventSources = []
            for word in value == "none" ? [] : value.split(separator: ",").map({ String($0.trimmed) }) {
                guard let source = KernelSource(rawValue: word) else {
                    throw OptionError("\(place): '\(word)' is not one of pidfd, cgroup and ebpf; none is without all")
                }
                eventSources.insert(source)
            }
        case "log_level":
            guard let level = Logger.Level(rawValue: value) else {
                throw OptionError(
                    "\(place): '\(value)' is no log level; use \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            logLevel = level
        case "policy", "cpu_threshold", "memory_threshold":
            do throws(FleetError) { try policy.set(key, value, shownAs: place) } catch { throw OptionError("\(error)") }
        default: break
        }
    }

    private static func flag(_ text: String, _ place: String) throws(OptionError) -> Bool {
        guard let flag = ["true": true, "yes": true, "false": false, "no": false][text] else {
            throw OptionError("\(place): '\(text)' is not true or false")
        }
        return flag
    }

    /// `90s`, `15m`, `2h`.
    private static func seconds(_ text: String) -> Double? {
        guard let unit: Double = text.last.flatMap({ ["s": 1, "m": 60, "h": 3600][$0] }),
            let number = Int(text.dropLast()), (0...1_000_000).contains(number)
        else { return nil }
        return Double(number) * unit
    }

    /// `4096`, `16k`, `500m`, `2g`.
    private static func size(_ text: String) -> ByteCount? {
        let shifts: [Character: Int64] = ["k": 10, "m": 20, "g": 30, "t": 40]
        let shift = text.lowercased().last.flatMap { shifts[$0] }
        guard let number = Int64(shift == nil ? text[...] : text.dropLast()), number >= 0 else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
        return overflow ? nil : ByteCount(bytes)
    }

    private static func engine(_ value: String, _ place: String) throws(OptionError) -> String? {
        if value == "none" { return nil }
        if value.hasPrefix("unix://"), value.dropFirst(7).hasPrefix("/") { return String(value.dropFirst(7)) }
        if value.hasPrefix("/") { return value }
        throw OptionError("\(place): '\(value)' is not an engine's socket; use unix:///PATH or none")
    }
}

extension Substring {
    /// Without the blanks at either end.
    fileprivate var trimmed: Substring {
        var text = drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        while let last = text.last, last == " " || last == "\t" || last == "\r" { text.removeLast() }
        return text
    }
}
