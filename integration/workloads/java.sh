# A virtual machine with a JIT compiler and a garbage collector of many threads: a jar with threads, a server and its
# client, watched files, a child, mapped files; and a tool that looks into it.
mkdir /tmp/java
cd /tmp/java
cat >Everyday.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.net.http.*;
import java.nio.*;
import java.nio.channels.FileChannel;
import java.nio.file.*;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;

public class Everyday {
  static void check(boolean fact) { if (!fact) throw new AssertionError(); }

  public static void main(String[] words) throws Exception {
    check(LongStream.range(0, 2_000_000).parallel().map(n -> n % 7).sum() == 5_999_995);
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", exchange -> {
      exchange.sendResponseHeaders(200, 5);
      exchange.getResponseBody().write("hello".getBytes());
      exchange.close();
    });
    server.start();
    URI place = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/");
    HttpResponse<String> answer = HttpClient.newHttpClient()
        .send(HttpRequest.newBuilder(place).build(), HttpResponse.BodyHandlers.ofString());
    check(answer.body().equals("hello"));
    server.stop(0);

    WatchService watcher = FileSystems.getDefault().newWatchService();
    Path dir = Files.createTempDirectory("watched");
    dir.register(watcher, StandardWatchEventKinds.ENTRY_CREATE);
    Files.writeString(dir.resolve("file"), "x".repeat(8192));
    check(watcher.poll(10, TimeUnit.SECONDS) != null);
    Files.copy(dir.resolve("file"), dir.resolve("copy"));
    try (FileChannel channel = FileChannel.open(dir.resolve("copy"), StandardOpenOption.READ)) {
      check(channel.map(FileChannel.MapMode.READ_ONLY, 0, 8192).get(8191) == 'x');
    }

    Process child = new ProcessBuilder("echo", "child").start();
    check(new String(child.getInputStream().readAllBytes()).equals("child\n") && child.waitFor() == 0);
    for (int round = 0; round < 200; round++) { byte[] garbage = new byte[1 << 20]; check(garbage[round] == 0); }
    check(NetworkInterface.getByName("lo").isLoopback());
    Process tool = new ProcessBuilder("jcmd", Long.toString(ProcessHandle.current().pid()), "GC.heap_info").start();
    check(new String(tool.getInputStream().readAllBytes()).contains("used"));
    System.out.println("worked");
  }
}
JAVA
javac Everyday.java
jar --create --file everyday.jar --main-class Everyday Everyday*.class
for collector in G1 Parallel Z; do
  [ "$(java -Xmx256m -XX:+Use${collector}GC -jar everyday.jar)" = worked ]
done
works
