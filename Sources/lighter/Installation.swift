import Foundation

/// Where `lighter up` keeps one machine's gateway and daemon.
struct Installation {
    /// State of lighterd, with the gateway's data, logs and pid files in folders below.
    let state: String

    init(state: String? = nil) {
        self.state = state.map(Self.absolute) ?? Self.defaultState
    }

    /// `/var/lib/lighter` for root, `~/.lighter` for everyone else.
    static var defaultState: String {
        getuid() == 0 ? "/var/lib/lighter" : NSHomeDirectory() + "/.lighter"
    }

    /// The caller's own first, then the machine's.
    static var known: [Installation] { [Installation(), Installation(state: "/var/lib/lighter")] }

    var gatewayData: String { state + "/gateway" }
    var operatorCredentials: String { gatewayData + "/operator" }
    var nodeCredentials: String { state + "/credentials" }
    var configurationFile: String { state + "/lighterd.conf" }
    /// Where the gateway of `lighter up` listens, for commands that are told nothing.
    var gatewayAddressFile: String { state + "/gateway.address" }

    /// The Docker socket that lighterd serves unless it is told another.
    var defaultSocket: String {
        state == "/var/lib/lighter" ? "/run/lighter/docker.sock" : state + "/docker.sock"
    }

    func background(_ program: String) -> BackgroundProcess {
        BackgroundProcess(name: program, pidFile: "\(state)/run/\(program).pid", log: "\(state)/log/\(program).log")
    }

    /// Makes the folders that background processes need.
    func prepare() throws {
        for folder in [state, state + "/run", state + "/log"] { try Self.makeFolder(folder) }
    }

    /// Makes a folder, for nobody but its owner, where there is none.
    static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw CommandFailure("cannot make \(path): run this as root, or choose another place with --state")
        }
    }

    /// The path from the root, so that a daemon in another folder finds it.
    static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }
}
