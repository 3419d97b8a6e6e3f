import LighterTesting

@testable import Images

/// One image as engines save it: its files' names, texts and order were recorded from Docker 20.10.24.
///
/// Its layers: a file, nothing, nothing again, and another file over the first.
enum DockerArchive {
    static let diffIDs = [
        "sha256:0fa3053765f791e92b5271a23ac9715b3fb89c2fdd577121468e095a87fd7ffb",
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        "sha256:9fbed392f98ce542ea51fda8c0126eda9088fc33af4987dc1c29a5b7fc07302c",
    ]
    static let chainIDs = [
        "sha256:0fa3053765f791e92b5271a23ac9715b3fb89c2fdd577121468e095a87fd7ffb",
        "sha256:35e13d4debe01f3b5691af4b04c82374d84df012e0afbd7babf77e2ec9f2fc3d",
        "sha256:43c3f6ed96f6b62f9bb6786f25782209847039ae5ccbed6bbf918618e879a62f",
        "sha256:2744704d1de795f1c5bd6f01275fac7f1c8a2c286bc65213f91649ec4d544ce8",
    ]
    /// The layers' folders, bottom first.
    static let folders = [
        "24f38549d1829ac597b915786f46092313d9c03d85a5e3a79369cfe508e44bcf",
        "7b8906a28645ade91589efeea9286872265b32ac2ce154ad1ab8eb48ec9142af",
        "494ade26f70ba512e217a063d3fafd6f5c3d7e31a89493b98e2351fac43aef77",
        "f0eb6293e235dcd8a924403bee8e0ac3ba546fca07f7258f4baa9b9ad7a0c7a8",
    ]
    static let imageID = "5829f9e4a99d2e70b4b24d71e6e135d3f714c1319f0ea16ee42fb4b596e1682a"

    static func layer(_ position: Int) -> [UInt8] {
        var tar = TarWriter()
        if position == 0 { tar.file("version", Array("base\n".utf8)) }
        if position == 3 { tar.file("version", Array("v1\n".utf8)) }
        tar.end()
        return tar.bytes
    }

    private static let empty =
        #"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"#
        + #""Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"#
        + #""WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#

    static func json(_ position: Int) -> [UInt8] {
        let parent = position == 0 ? "" : #","parent":"\#(folders[position - 1])""#
        let isTop = position == folders.count - 1
        let config =
            empty.replacing(
                #""Env":null,"Cmd":null"#,
                with: #""Env":["A=\u003cb\u003e\u0026\"c\\,}"],"Cmd":["/bin/cat","/version"]"#
            )
            .replacing(#""Labels":null"#, with: #""Labels":{"é":"☃"}"#)
        return Array(
            (#"{"id":"\#(folders[position])"\#(parent),"created":"\#(isTop ? "2024" : "1970")-01-01T00:00:00Z","#
                + #""container_config":\#(empty),\#(isTop ? #""config":\#(config),"architecture":"amd64","# : "")"os":"linux"}"#)
                .utf8)
    }

    static let config: [UInt8] = Array(
        (#"{"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z", "config": {"Cmd": ["/bin/cat", "#
            + #""/version"], "Env": ["A=<b>&\"c\\,}"], "Labels": {"\u00e9": "\u2603"}}, "rootfs": {"type": "layers", "#
            + #""diff_ids": [\#(list(diffIDs))]}, "history": ["#
            + [String](repeating: #"{"created": "2024-01-01T00:00:00Z", "created_by": "t"}"#, count: 4)
            .joined(separator: ", ") + "]}").utf8)

    private static func list(_ texts: [String]) -> String { texts.map { "\"\($0)\"" }.joined(separator: ", ") }

    /// As Docker before 25 writes it.
    static func old(layers: [[UInt8]] = (0..<4).map(layer)) -> [UInt8] {
        var tar = TarWriter()
        for folder in (folders + [imageID]).sorted() {
            guard let position = folders.firstIndex(of: folder) else {
                tar.file("\(imageID).json", config)
                continue
            }
            tar.folder("\(folder)/")
            tar.file("\(folder)/VERSION", Array("1.0".utf8))
            tar.file("\(folder)/json", json(position))
            if position == 2 {
                tar.link("\(folder)/layer.tar", to: "../\(folders[1])/layer.tar")
            } else {
                tar.file("\(folder)/layer.tar", layers[position])
            }
        }
        let paths = folders.map { "\($0)/layer.tar" }
        tar.file(
            "manifest.json", Array(#"[{"Config":"\#(imageID).json","RepoTags":null,"Layers":[\#(list(paths))]}]"#.utf8))
        tar.end()
        return tar.bytes
    }

    /// As Docker 25 and later write it.
    static func new(layers: [[UInt8]] = (0..<4).map(layer)) -> [UInt8] {
        var tar = TarWriter()
        tar.folder("blobs/")
        tar.folder("blobs/sha256/")
        var blobs = [imageID: config]
        for position in [0, 1, 3] { blobs[String(diffIDs[position].dropFirst(7))] = layers[position] }
        for (name, content) in blobs.sorted(by: { $0.key < $1.key }) { tar.file("blobs/sha256/\(name)", content) }
        tar.file("index.json", Array("{}".utf8))
        let paths = diffIDs.map { "blobs/sha256/\($0.dropFirst(7))" }
        tar.file(
            "manifest.json",
            Array(#"[{"Config":"blobs/sha256/\#(imageID)","RepoTags":null,"Layers":[\#(list(paths))]}]"#.utf8))
        tar.file("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        tar.end()
        return tar.bytes
    }
}
