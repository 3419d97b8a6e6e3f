import DockerAPI
import Fleet
import NIOCore
import Testing

@Suite("Create requests")
struct CreateRequestTests {
    private func parse(_ text: String) throws(DockerFailure) -> CreateRequest {
        try CreateRequest(ByteBuffer(string: text))
    }

    static let tieTable: [(String, [String])] = [
        ("{}", []),
        (#"{"Binds":["/data:/x:ro"]}"#, ["bind mount /data"]), (#"{"binds":["db:/x"]}"#, ["volume db"]),
        (#"{"Binds":["/anonymous"]}"#, []),
        (#"{"Mounts":[{"Type":"bind","Source":"/a","Target":"/b"}]}"#, ["bind mount /a"]),
        (#"{"Mounts":[{"Type":"volume","Source":"v","Target":"/b"}]}"#, ["volume v"]),
        (#"{"Mounts":[{"Type":"volume","Target":"/b"},{"Type":"tmpfs","Target":"/c"}]}"#, []),
        (
            #"{"Mounts":[{"Type":"volume","Target":"/b","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind"}}}}]}"#,
            ["volume at /b with options of its own"]
        ),
        (#"{"Tmpfs":{"/run":""}}"#, []),
        (#"{"PortBindings":{"80/tcp":[{"HostPort":"8080"}],"81/tcp":null,"82/tcp":[]}}"#, []),
        (#"{"PortBindings":{"80/sctp":[{"HostPort":"8080"}]}}"#, ["published port 80/sctp"]),
        (
            #"{"PortBindings":{"80/tcp":[{"HostPort":"none"}],"81/udp":[{"HostPort":"9-8"}]}}"#,
            ["published port 80/tcp", "published port 81/udp"]
        ),
        (#"{"PublishAllPorts":true}"#, []),
        (#"{"NetworkMode":"default"}"#, []), (#"{"NetworkMode":"none"}"#, []), (#"{"NetworkMode":"bridge"}"#, []),
        (#"{"NetworkMode":"host"}"#, ["host network"]), (#"{"NetworkMode":"mine"}"#, ["network mine"]),
        (#"{"NetworkMode":"container:abc"}"#, ["network of container abc"]),
        (#"{"VolumesFrom":["abc:ro"]}"#, ["volumes from abc:ro"]), (#"{"Links":["/db:alias"]}"#, ["link to /db"]),
        (#"{"PidMode":"host"}"#, ["host PID namespace"]),
        (#"{"PidMode":"container:x"}"#, ["PID namespace of container x"]),
        (#"{"IpcMode":"container:x"}"#, ["IPC namespace of container x"]), (#"{"IpcMode":"private"}"#, []),
        (#"{"UTSMode":"host","UsernsMode":"host"}"#, ["host UTS namespace", "host user namespace"]),
        (#"{"Privileged":true}"#, ["privileged mode"]),
        (#"{"Devices":[{"PathOnHost":"/dev/fuse"}]}"#, ["device /dev/fuse"]),
        (#"{"DeviceRequests":[{"Count":-1}]}"#, ["requested devices (GPUs)"]),
        (#"{"LogConfig":{"Type":"json-file"}}"#, []), (#"{"LogConfig":{"Type":"none"}}"#, []),
        (#"{"LogConfig":{"Type":"syslog"}}"#, ["log driver syslog"]),
        (#"{"ExtraHosts":["h:host-gateway"]}"#, ["the host's address"]), (#"{"ExtraHosts":["h:1.2.3.4"]}"#, []),
        (#"{"Binds":["/a:/b","/a:/c"],"NetworkMode":"n"}"#, ["bind mount /a", "network n"]),
    ]

    @Test("Ties name what only the origin has", arguments: tieTable)
    func tiesOf(_ host: String, _ expected: [String]) throws {
        #expect(try parse(#"{"Image":"a","HostConfig":\#(host)}"#).ties == expected)
    }

    @Test("A network that is only in NetworkingConfig is a tie, once")
    func endpoints() throws {
        let text =
            #"{"HostConfig":{"NetworkMode":"n"},"NetworkingConfig":{"EndpointsConfig":{"n":{},"m":null,"bridge":{}}}}"#
        #expect(try parse(text).ties == ["network n", "network m"])
    }

    @Test("Fields are read whatever their case, and words may stand for lists of one")
    func fields() throws {
        let request = try parse(
            #"{"image":"busybox","CMD":"date","entrypoint":["sh","-c"],"Labels":{"a":"b"},"tty":true,"OpenStdin":true,"Env":null}"#
        )
        #expect(request.image == "busybox")
        #expect(request.command == ["date"])
        #expect(request.entrypoint == ["sh", "-c"])
        #expect(request.labels == ["a": "b"])
        #expect(request.tty && request.openStdin && !request.attachStdin)
    }

    @Test("Host options at the top level count as old engines count them, and can be moved to where filters look")
    func legacyHostOptions() throws {
        let bare = try parse(#"{"Image":"a","privileged":true,"Binds":["/:/host"]}"#)
        #expect(bare.host.privileged)
        #expect(bare.ties == ["bind mount /", "privileged mode"])
        #expect(
            bare.withExplicitHostConfig().text == #"{"Image":"a","HostConfig":{"Binds":["/:/host"],"Privileged":true}}"#
        )
        let beside = try parse(#"{"Privileged":true,"Memory":5,"VolumeDriver":"x","HostConfig":{"Memory":0}}"#)
        #expect(!beside.host.privileged)
        #expect(beside.host.memory == 5)
        #expect(beside.ties == ["volume driver x"])
        #expect(beside.withExplicitHostConfig().text == #"{"HostConfig":{"Memory":5,"VolumeDriver":"x"}}"#)
    }

    @Test("Limits become resources")
    func resources() throws {
        let nano = try parse(#"{"HostConfig":{"NanoCpus":1500000000,"Memory":1048576}}"#)
        #expect(nano.resources == Resources(cpus: 1.5, memory: .mebibytes(1)))
        let quota = try parse(#"{"HostConfig":{"CpuQuota":50000}}"#)
        #expect(quota.resources.cpus == 0.5)
        #expect(try parse(#"{"HostConfig":{"CpuQuota":50000,"CpuPeriod":25000}}"#).resources.cpus == 2)
        #expect(try parse("{}").resources == .none)
        #expect(try parse(#"{"HostConfig":{"CpuQuota":-1,"Memory":-1}}"#).resources == .none)
    }

    @Test(
        "A body that the engine would refuse, or could read otherwise, is refused with 400",
        arguments: [
            "", "[]", "null", "{", #"{"Image":1}"#, #"{"Cmd":{}}"#, #"{"Cmd":[1]}"#, #"{"Image":"a","image":"b"}"#,
            #"{"HostConfig":[]}"#, #"{"HostConfig":{"Memory":1.5}}"#, #"{"HostConfig":{"Memory":"1"}}"#,
            #"{"HostConfig":{"Privileged":"true"}}"#, #"{"HostConfig":{},"ho\u017ftconfig":{"Privileged":true}}"#,
        ])
    func refused(_ text: String) {
        #expect(#expect(throws: DockerFailure.self) { try parse(text) }?.status == 400)
    }

    @Test("The work key is stable, and tells image, entrypoint and command apart")
    func workKey() throws {
        let key = try parse(#"{"Image":"busybox","Cmd":["sh","-c","date"]}"#).workKey
        #expect(key == "96764c63d847ba88")
        let others = [
            #"{"Image":"busybox","Cmd":["sh","-c date"]}"#, #"{"Image":"busybox","Entrypoint":["sh","-c","date"]}"#,
            #"{"Image":"busyboxsh","Cmd":["-c","date"]}"#,
            #"{"Image":"busybox","Entrypoint":["sh"],"Cmd":["-c","date"]}"#,
        ]
        let keys = try Set(others.map { try parse($0).workKey } + [key])
        #expect(keys.count == 5)
        #expect(key == (try parse(#"{"cmd":["sh","-c","date"],"Env":["A=b"],"image":"busybox"}"#).workKey))
    }
}

@Suite("Image references")
struct ImageReferenceTests {
    static let good: [(String, String, String)] = [
        ("busybox", "busybox:latest", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app", "team/app:latest", "docker.io/team/app:latest"),
        ("docker.io/busybox", "busybox:latest", "docker.io/library/busybox:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("registry:5000/a/b:v2", "registry:5000/a/b:v2", "registry:5000/a/b:v2"),
        ("index.docker.io/library/busybox", "busybox:latest", "docker.io/library/busybox:latest"),
    ]

    @Test("References are normalised as Docker does", arguments: good)
    func normalise(_ text: String, _ familiar: String, _ canonical: String) throws {
        let reference = try #require(ImageReference(text))
        #expect(reference.familiar == familiar)
        #expect(reference.canonical == canonical)
        #expect(ImageReference(canonical)?.canonical == canonical)
    }

    @Test(
        "Bad references are none",
        arguments: ["", "A", "a//b", "a:", "a:b:c", "a@b", "/a", "a/", "-a", "a b", "a:-x", "a@sha256:zz"])
    func bad(_ text: String) { #expect(ImageReference(text) == nil) }

    @Test("The two parameters of a pull make a reference and back")
    func pull() throws {
        let digest = "sha256:" + String(repeating: "ab", count: 32)
        #expect(ImageReference(fromImage: "busybox", tag: "1")?.familiar == "busybox:1")
        #expect(ImageReference(fromImage: "busybox:2", tag: "")?.familiar == "busybox:2")
        #expect(ImageReference(fromImage: "busybox", tag: digest)?.familiar == "busybox@\(digest)")
        let parameters = try #require(ImageReference("r:5000/a@\(digest)")).pullParameters
        #expect(parameters.fromImage == "r:5000/a")
        #expect(parameters.tag == digest)
        #expect(ImageReference.isID(digest))
        #expect(!ImageReference.isID("busybox"))
    }
}

@Suite("Refusals")
struct DockerFailureTests {
    @Test("A refusal looks like dockerd's")
    func response() throws {
        var bytes = DockerFailure.noSuchContainer("a\"b").response(version: "1.41", closing: true)
        var parser = HeadParser<ResponseHead>()
        let head = try #require(try parser.parse(&bytes))
        #expect(head.status == 404)
        #expect(head.reason == "Not Found")
        #expect(head.headers.first("Content-Type") == "application/json")
        #expect(head.headers.first("Api-Version") == "1.41")
        #expect(!head.keepAlive)
        #expect(head.framing(forMethod: "GET") == .length(bytes.readableBytes))
        #expect(String(buffer: bytes) == #"{"message":"No such container: a\"b"}"# + "\n")
    }

    @Test("The answer to HEAD has no body")
    func head() throws {
        var bytes = DockerFailure(status: 400, message: "x").response(version: nil, method: "HEAD")
        var parser = HeadParser<ResponseHead>()
        _ = try #require(try parser.parse(&bytes))
        #expect(bytes.readableBytes == 0)
    }

    @Test(
        "A path has one name, as an engine shows it",
        arguments: [
            ("/", "/"), ("//", "/"), ("/a/", "/a"), ("//a//b/.", "/a/b"), ("/a/../b", "/a/../b"), ("/a/..b", "/a/..b"),
            ("volume", "volume"), ("", ""), ("./a/", "./a/"),
        ])
    func cleanedPath(path: String, cleaned: String) { #expect(path.cleanedPath == cleaned) }
}
