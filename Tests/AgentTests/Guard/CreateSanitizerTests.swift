import DockerAPI
import Fleet
import Testing

@testable import Agent

@Suite("The create sanitiser")
struct CreateSanitizerTests {
    static func sanitize(
        _ text: String, policy: GuardPolicy = GuardPolicy(), own: [String: String] = [:]
    ) throws -> JSON {
        let node = try NodeID("cloud1")
        let labels = WorkloadLabels(
            id: try WorkloadID(String(repeating: "ab", count: 16)), epoch: 7, origin: try NodeID("edge1"),
            tenant: .main,
            target: node, name: "web", image: "")
        let profile = CreateProfile(policy: policy, node: node, ownContainers: own)
        return try CreateSanitizer(profile: profile).sanitize(try JSON.parse(Array(text.utf8)), labels: labels)
    }

    /// The refusal of a body; nil when it is admitted.
    static func failure(_ text: String, policy: GuardPolicy = GuardPolicy()) throws -> DockerFailure? {
        do {
            _ = try sanitize(text, policy: policy)
            return nil
        } catch let failure as DockerFailure {
            return failure
        }
    }

    @Test(
        "lets through what the docker command line sends",
        arguments: [
            CreateFixtures.run, CreateFixtures.runInteractive, CreateFixtures.createWithUsualOptions,
        ])
    func fixtures(body: String) throws {
        let sent = try JSON.parse(Array(body.utf8))
        let result = try Self.sanitize(body)
        for name in [
            "Cmd", "Entrypoint", "Env", "User", "WorkingDir", "Tty", "OpenStdin", "StdinOnce", "Hostname", "Image",
            "Healthcheck", "StopSignal", "StopTimeout",
        ] {
            #expect(result[name] ?? .null == sent[name] ?? .null, "\(name)")
        }
        let host = try #require(result["HostConfig"])
        for member in try #require(sent["HostConfig"]?.objectValue).members where !member.value.isZero {
            if ["MemorySwappiness", "PidsLimit", "LogConfig", "NetworkMode", "RestartPolicy"].contains(member.key) {
                continue
            }
            #expect(host[member.key] == member.value, "\(member.key)")
        }
        #expect(host["NetworkMode"] == sent["HostConfig"]?["NetworkMode"])
        #expect(host["RestartPolicy"] == sent["HostConfig"]?["RestartPolicy"])
    }

    @Test("keeps Podman's owner's automatic updates away from a foreign container", arguments: [true, false])
    func automaticUpdates(isPodman: Bool) throws {
        let node = try NodeID("cloud1")
        let labels = WorkloadLabels(
            id: .random(), epoch: 7, origin: try NodeID("edge1"), tenant: .main, target: node, name: "web", image: "")
        var profile = CreateProfile(policy: GuardPolicy(), node: node)
        profile.isPodman = isPodman
        for asked: JSON in [["io.containers.autoupdate": "registry", "a": "b"], ["a": "b"]] {
            let body: JSON = ["Image": "x", "Labels": asked]
            let made = try CreateSanitizer(profile: profile).sanitize(body, labels: labels)["Labels"]
            #expect(made?["a"] == "b")
            #expect(made?["io.containers.autoupdate"] == (isPodman ? "disabled" : asked["io.containers.autoupdate"]))
            #expect(made?.objectValue?.keys.filter { $0 == "io.containers.autoupdate" }.count ?? 0 <= 1)
        }
    }

    @Test("keeps each of the usual options")
    func usualOptions() throws {
        let host = try #require(Self.sanitize(CreateFixtures.createWithUsualOptions)["HostConfig"])
        #expect(host["PidsLimit"] == 50)
        #expect(host["Memory"] == 67_108_864)
        #expect(host["NanoCpus"] == 500_000_000)
        #expect(host["Tmpfs"]?["/tmp"] == "size=16m")
        #expect(host["ShmSize"] == 33_554_432)
        #expect(host["CapDrop"] == ["CAP_NET_RAW"])
        #expect(host["SecurityOpt"] == ["no-new-privileges"])
        #expect(host["Init"] == true)
        #expect(host["ReadonlyRootfs"] == true)
        #expect(host["LogConfig"]?["Config"]?["max-size"] == "1m")
        #expect(host["Ulimits"]?[0]?["Hard"] == 2048)
        #expect(host["ExtraHosts"] == ["foo:1.2.3.4"])
        #expect(host["Sysctls"]?["net.ipv4.ip_unprivileged_port_start"] == "0")
    }

    @Test("refuses what reaches for the host, and names the first field of it")
    func hostAccess() throws {
        let failure = try #require(try Self.failure(CreateFixtures.createAgainstTheHost))
        #expect(failure.status == 403)
        #expect(failure.message.contains("node cloud1 does not admit HostConfig.Binds=/tmp"))
        #expect(failure.message.contains("lighter.policy=local"))
    }

    static let refusedHostFields: [(String, String)] = [
        ("Privileged", "true"), ("NetworkMode", #""host""#), ("NetworkMode", #""mynet""#), ("PidMode", #""host""#),
        ("IpcMode", #""host""#), ("UTSMode", #""host""#), ("UsernsMode", #""host""#), ("CgroupnsMode", #""host""#),
        ("Binds", #"["/:/host"]"#), ("Binds", #"["/etc:/etc:ro"]"#), ("Binds", #"["vol:/data"]"#),
        ("Mounts", #"[{"Type":"bind","Source":"/","Target":"/h"}]"#),
        ("Mounts", #"[{"Type":"volume","Source":"vol","Target":"/h"}]"#),
        (
            "Mounts",
            #"[{"Type":"volume","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]"#
        ),
        ("Mounts", #"[{"Type":"bind","Source":"/d","Target":"/h","BindOptions":{"Propagation":"rshared"}}]"#),
        ("Mounts", #"[{"Type":"npipe","Target":"/h"}]"#), ("Mounts", #"[{"Type":"image","Source":"x","Target":"/h"}]"#),
        ("Mounts", #"[{"Type":"tmpfs","Target":"/h","TmpfsOptions":{"SizeBytes":99999999999}}]"#),
        ("Devices", #"[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/sda","CgroupPermissions":"rwm"}]"#),
        ("DeviceRequests", #"[{"Count":-1,"Capabilities":[["gpu"]]}]"#), ("DeviceCgroupRules", #"["a *:* rwm"]"#),
        ("CapAdd", #"["SYS_ADMIN"]"#), ("CapAdd", #"["cap_net_admin"]"#), ("CapAdd", #"["ALL"]"#),
        ("SecurityOpt", #"["seccomp=unconfined"]"#), ("SecurityOpt", #"["seccomp:unconfined"]"#),
        ("SecurityOpt", #"["apparmor=unconfined"]"#), ("SecurityOpt", #"["label=disable"]"#),
        ("SecurityOpt", #"["label:disable"]"#), ("SecurityOpt", #"["systempaths=unconfined"]"#),
        ("SecurityOpt", #"["seccomp={}"]"#), ("Sysctls", #"{"kernel.core_pattern":"|/x"}"#),
        ("Sysctls", #"{"net/ipv4/ip_forward":"1"}"#), ("CgroupParent", #""/system.slice""#),
        ("Cgroup", #""container:x""#),
        ("Runtime", #""runc-debug""#), ("VolumeDriver", #""nfs""#), ("PublishAllPorts", "true"),
        ("PortBindings", #"{"80/tcp":[{"HostPort":"80"}]}"#),
        ("LogConfig", #"{"Type":"syslog","Config":{}}"#), ("LogConfig", #"{"Type":"gelf"}"#),
        ("LogConfig", #"{"Type":"fluentd"}"#), ("LogConfig", #"{"type":"journald"}"#),
        ("OomKillDisable", "true"),
        ("OomScoreAdj", "-500"), ("PidsLimit", "-1"), ("PidsLimit", "1000000"),
        ("Ulimits", #"[{"Name":"nofile","Soft":-1,"Hard":-1}]"#), ("Ulimits", #"[{"Name":"nofile","Hard":99999999}]"#),
        ("Ulimits", #"[{"Name":"rtprio","Hard":99}]"#), ("MaskedPaths", "[]"), ("ReadonlyPaths", "[]"),
        ("MaskedPaths", #"["/proc/x"]"#), ("StorageOpt", #"{"size":"1T"}"#), ("Tmpfs", #"{"/t":"size=900g"}"#),
        ("Tmpfs", #"{"/t":"size=90%"}"#), ("Tmpfs", #"{"/t":"size=1m,size=900g"}"#),
        ("Tmpfs", #"{"/t":"huge=always"}"#),
        ("ShmSize", "99999999999"), ("MemorySwap", "-1"), ("CpuRealtimeRuntime", "950000"),
        ("BlkioDeviceReadBps", #"[{"Path":"/dev/sda","Rate":1}]"#), ("Annotations", #"{"run.oci.hooks":"x"}"#),
        ("Isolation", #""hyperv""#), ("Capabilities", #"["ALL"]"#), ("NewFangledEscape", "true"),
    ]

    @Test("refuses each field that is not admitted, however its key is written", arguments: refusedHostFields)
    func refusedFields(field: String, value: String) throws {
        for outer in ["HostConfig", "hostconfig", "HOSTCONFIG", "Ho\u{17F}tConfig", #"\u0048ostConfig"#] {
            for inner in [field, field.lowercased(), field.uppercased(), escaped(field)] {
                let body = #"{"Image":"busybox","\#(outer)":{"\#(inner)":\#(value)}}"#
                let failure = try #require(try Self.failure(body), "\(body) was admitted")
                #expect(failure.status == 403, "\(failure.message)")
                #expect(failure.message.lowercased().contains("hostconfig.\(field.lowercased())"), "\(failure.message)")
            }
        }
    }

    /// The key with its first letter as a JSON escape.
    private func escaped(_ key: String) -> String {
        let first = key.unicodeScalars.first?.value ?? 0
        return "\\u00" + String(first, radix: 16) + key.dropFirst()
    }

    @Test(
        "refuses the host's fields at the top, where old engines read them too",
        arguments: [
            #"{"Image":"x","Privileged":true}"#, #"{"Image":"x","Binds":["/:/h"]}"#,
            #"{"Image":"x","privileged":true}"#,
            #"{"Image":"x","CapAdd":["ALL"],"HostConfig":null}"#, #"{"Image":"x","MacAddress":"02:42:ac:11:00:02"}"#,
        ])
    func topLevel(body: String) throws {
        #expect(try Self.failure(body)?.status == 403)
    }

    @Test(
        "refuses a key that is given twice, for the engine would take the last",
        arguments: [
            #"{"HostConfig":{},"HostConfig":{"Privileged":false}}"#, #"{"HostConfig":{},"hostconfig":{}}"#,
            #"{"HostConfig":{"Privileged":false,"privileged":false}}"#, #"{"HostConfig":{},"Ho\u017ftConfig":{}}"#,
            #"{"HostConfig":{"Mounts":[{"Type":"tmpfs","type":"bind"}]}}"#, #"{"Labels":{"a":"1","a":"2"}}"#,
            #"{"HostConfig":{"Lin\u212as":[],"Links":[]}}"#,
        ])
    func duplicates(body: String) throws {
        #expect(try Self.failure(body)?.status == 400)
    }

    @Test("lets a mount say that nothing spreads, and makes nothing for it", arguments: ["", "private", "rprivate"])
    func privateMounts(propagation: String) throws {
        let options = #"{"Propagation":"\#(propagation)","CreateMountpoint":true}"#
        let mount = #"{"Type":"bind","Source":"/srv","Target":"/h","BindOptions":\#(options)}"#
        let body = try JSON.parse(Array(#"{"Image":"x","HostConfig":{"Mounts":[\#(mount)]}}"#.utf8))
        var profile = CreateProfile(policy: GuardPolicy(), node: try NodeID("cloud1"))
        profile.policy.hostPaths = ["/srv"]
        let labels = WorkloadLabels(
            id: .random(), epoch: 1, origin: try NodeID("edge1"), tenant: .main, target: try NodeID("cloud1"),
            name: "web", image: "x")
        let clean = try CreateSanitizer(profile: profile).sanitize(body, labels: labels)
        #expect(clean["HostConfig"]?["Mounts"]?[0]?["BindOptions"] == ["Propagation": .string(propagation)])
    }

    @Test(
        "says so when a field has the wrong shape",
        arguments: [
            "[]", #"{"HostConfig":[]}"#, #"{"HostConfig":{"Privileged":"true"}}"#, #"{"HostConfig":{"Memory":"1g"}}"#,
            #"{"HostConfig":{"Memory":1e9}}"#, #"{"Cmd":{}}"#, #"{"Env":[1]}"#, #"{"HostConfig":{"Mounts":{}}}"#,
            #"{"HostConfig":{"Memory":-1}}"#, #"{"Tty":1}"#, #"{"Labels":{"a":{}}}"#,
        ])
    func malformed(body: String) throws {
        #expect(try Self.failure(body)?.status == 400)
    }

    @Test("leaves out unknown fields that say nothing")
    func unknownZeroes() throws {
        let result = try Self.sanitize(#"{"Image":"x","FutureField":"","HostConfig":{"Other":[{"A":0}]}}"#)
        #expect(result["FutureField"] == nil)
        #expect(result["HostConfig"]?["Other"] == nil)
    }

    @Test("writes canonical keys only")
    func canonicalKeys() throws {
        let result = try Self.sanitize(
            #"{"image":"x","CMD":["a"],"hostCONFIG":{"memory":1048576,"logconfig":{"type":"local"}}}"#)
        #expect(result["Image"] == "x")
        #expect(result["Cmd"] == ["a"])
        #expect(result["HostConfig"]?["Memory"] == 1_048_576)
        #expect(result["HostConfig"]?["LogConfig"]?["Type"] == "local")
        #expect(Set(try #require(result.objectValue).keys) == ["Image", "Cmd", "Labels", "HostConfig"])
    }

    @Test("bounds the processes and tmpfs of a container that names no bound")
    func defaults() throws {
        let host = try #require(Self.sanitize(#"{"Image":"x","HostConfig":{"Tmpfs":{"/t":""}}}"#)["HostConfig"])
        #expect(host["PidsLimit"] == 4096)
        #expect(host["Tmpfs"]?["/t"] == "size=1073741824")
        #expect(try Self.sanitize(#"{"Image":"x"}"#)["HostConfig"]?["PidsLimit"] == 4096)
    }

    @Test("sets Lighter's labels over the caller's own")
    func labels() throws {
        let result = try Self.sanitize(
            #"{"Image":"sha256:1","labels":{"a":"b","A":"c","io.lighter.tenant":"other","io.lighter.workload":"x","io.lighter.image":"busybox"}}"#
        )
        let labels = try #require(result["Labels"]?.objectValue)
        #expect(labels["a"] == "b")
        #expect(labels["A"] == "c")
        #expect(labels["io.lighter.tenant"] == "main")
        #expect(labels["io.lighter.workload"]?.stringValue == String(repeating: "ab", count: 16))
        #expect(labels["io.lighter.epoch"] == "7")
        #expect(labels["io.lighter.origin"] == "edge1")
        #expect(labels["io.lighter.target"] == "cloud1")
        #expect(labels["io.lighter.name"] == "web")
        #expect(labels["io.lighter.image"] == "busybox")
        #expect(Set(labels.keys).count == labels.keys.count)
    }

    @Test("takes the id that a container's users know, where it is one")
    func shownID() throws {
        let id = String(repeating: "0a", count: 32)
        for (given, expected) in [(id, id), (id.uppercased(), nil), (String(id.dropLast()), nil), ("", nil)] {
            let result = try Self.sanitize(#"{"Image":"x","Labels":{"io.lighter.container":"\#(given)"}}"#)
            #expect(result["Labels"]?["io.lighter.container"]?.stringValue == expected)
        }
    }

    @Test(
        "joins namespaces of the caller's own containers only, by their full id",
        arguments: [
            ("NetworkMode", #""container:db""#), ("IpcMode", #""container:db""#), ("PidMode", #""container:db""#),
            ("VolumesFrom", #"["db:ro"]"#),
        ])
    func ownContainers(field: String, value: String) throws {
        let body = #"{"Image":"x","HostConfig":{"\#(field)":\#(value)}}"#
        #expect(CreateSanitizer.references(in: try JSON.parse(Array(body.utf8))) == ["db"])
        #expect(try Self.failure(body)?.status == 404)
        let id = String(repeating: "c", count: 64)
        let admitted = try Self.sanitize(body, own: ["db": id])["HostConfig"]?[field]
        #expect(admitted == .string("container:\(id)") || admitted == [.string("\(id):ro")])
    }

    @Test("admits what the node's owner allows, and nothing beside it")
    func policy() throws {
        var policy = GuardPolicy()
        policy.hostPaths = ["/srv/models"]
        policy.capabilities = ["SYS_PTRACE"]
        policy.devices = ["/dev/fuse"]
        #expect(try Self.failure(#"{"HostConfig":{"Binds":["/srv/models:/m:ro"]}}"#, policy: policy) == nil)
        #expect(try Self.failure(#"{"HostConfig":{"Binds":["/srv/models/sub:/m"]}}"#, policy: policy)?.status == 403)
        #expect(
            try Self.failure(#"{"HostConfig":{"Binds":["/srv/models/../../etc:/m"]}}"#, policy: policy)?.status == 403)
        #expect(try Self.failure(#"{"HostConfig":{"CapAdd":["CAP_SYS_PTRACE"]}}"#, policy: policy) == nil)
        #expect(try Self.failure(#"{"HostConfig":{"Devices":[{"PathOnHost":"/dev/fuse"}]}}"#, policy: policy) == nil)
        #expect(
            try Self.failure(#"{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda"}]}}"#, policy: policy)?.status == 403)
    }

    @Test(
        "refuses networks and addresses of others in NetworkingConfig",
        arguments: [
            #"{"EndpointsConfig":{"theirs":{}}}"#,
            #"{"EndpointsConfig":{"bridge":{"MacAddress":"02:00:00:00:00:01"}}}"#,
            #"{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.17.0.9"}}}}"#,
            #"{"endpointsconfig":{"host":null}}"#,
        ])
    func networking(config: String) throws {
        #expect(try Self.failure(#"{"NetworkingConfig":\#(config)}"#)?.status == 403)
    }

    @Test(
        "says what is wrong in itself in an engine's words",
        arguments: [
            (
                #"{"LogConfig":{"Type":"json-file","Config":{"syslog-address":"tcp://x"}}}"#,
                "unknown log opt 'syslog-address' for json-file log driver"
            ),
            (#"{"Binds":["/a:/b:bad"]}"#, "invalid mode: bad"),
            (#"{"Binds":["/a:b:c:d"]}"#, "invalid volume specification: '/a:b:c:d'"),
        ])
    func malformed(host: String, message: String) throws {
        let failure = try #require(try Self.failure(#"{"HostConfig":\#(host)}"#))
        #expect(failure.status == 400)
        #expect(failure.message == message)
    }

    @Test("knows no container but the caller's own to link to")
    func links() throws {
        for body in [
            #"{"HostConfig":{"Links":["db:db"]}}"#,
            #"{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"links":["db:db"]}}}}"#,
        ] {
            #expect(try Self.failure(body)?.status == 404)
        }
    }

    @Test("names the caller's own networks, volumes and containers as this engine does")
    func sharing() throws {
        var profile = CreateProfile(policy: GuardPolicy(), node: try NodeID("cloud1"), ownContainers: ["db": "d1d1"])
        profile.ownNames = ["db": "db.edge1"]
        profile.ownNetworks = ["n1": "app.edge1"]
        profile.ownVolumes = ["data": "data.edge1"]
        let body = try JSON.parse(
            Array(
                #"""
                {"Image":"x","HostConfig":{"NetworkMode":"n1","Links":["db"],"Binds":["data:/d:ro"],
                "Mounts":[{"Type":"volume","Source":"data","Target":"/e"}],"VolumesFrom":["db:ro"]},
                "NetworkingConfig":{"EndpointsConfig":{"n1":{"Aliases":["web"],"Links":["db:store"],
                "IPAMConfig":{"IPv4Address":"172.28.0.9"}}}}}
                """#.utf8))
        let labels = WorkloadLabels(
            id: .random(), epoch: 1, origin: try NodeID("edge1"), tenant: .main, target: try NodeID("cloud1"),
            name: "web", image: "x")
        let clean = try CreateSanitizer(profile: profile).sanitize(body, labels: labels)
        #expect(clean["HostConfig"]?["NetworkMode"] == "app.edge1")
        #expect(clean["HostConfig"]?["Links"] == ["db.edge1:db"])
        #expect(clean["HostConfig"]?["Binds"] == ["data.edge1:/d:ro"])
        #expect(clean["HostConfig"]?["Mounts"]?[0]?["Source"] == "data.edge1")
        #expect(clean["HostConfig"]?["VolumesFrom"] == ["d1d1:ro"])
        let endpoint = clean["NetworkingConfig"]?["EndpointsConfig"]?["app.edge1"]
        #expect(endpoint?["Aliases"] == ["web"])
        #expect(endpoint?["Links"] == ["db.edge1:store"])
        #expect(endpoint?["IPAMConfig"]?["IPv4Address"] == "172.28.0.9")
        #expect(CreateSanitizer.references(in: body) == ["db", "db", "db"])
        #expect(CreateSanitizer.networks(in: body) == ["n1", "n1"])
        #expect(CreateSanitizer.volumes(in: body) == ["data", "data"])
    }
}
