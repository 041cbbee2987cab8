import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * gRPC by grpc-java: {@code Calls server PORT} or {@code Calls client PORT}, without generated code. Each says of each
 * call what came of it, a line of JSON on standard output. Messages are bytes; numbers are decimal.
 */
public final class Calls {
  private static final String SERVICE = "workload.v1.Calls";
  private static final byte[] BINARY = {0, -1, 1};
  private static final Metadata.Key<String> TRACEPARENT = Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<byte[]> X_BINARY = Metadata.Key.of("x-binary-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final ScheduledExecutorService TIMER =
      Executors.newSingleThreadScheduledExecutor(
          (task) -> {
            Thread thread = new Thread(task, "timer");
            thread.setDaemon(true);
            return thread;
          });

  private static final MethodDescriptor.Marshaller<byte[]> SAME =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
          try {
            return stream.readAllBytes();
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  private static MethodDescriptor<byte[], byte[]> method(String name) {
    return MethodDescriptor.newBuilder(SAME, SAME)
        .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
        .setFullMethodName(SERVICE + "/" + name)
        .build();
  }

  /** What a side says of a call. Standard output is locked for each line. */
  private static final class Report {
    private final String marker;
    private final String method;
    int sent;
    int received;

    Report(String marker, String method) {
      this.marker = marker;
      this.method = method;
    }

    /** What is not known is null. */
    void say(Integer code, String message, Long nanoseconds) {
      StringBuilder line = new StringBuilder();
      line.append(String.format("{\"marker\":\"%s\",\"method\":\"/%s/%s\"", marker, SERVICE, method));
      line.append(String.format(",\"sent\":%d,\"received\":%d", sent, received));
      if (code != null) line.append(",\"code\":").append(code);
      if (nanoseconds != null) line.append(",\"nanoseconds\":").append(nanoseconds);
      if (message != null) {
        line.append(",\"message\":\"");
        for (char c : message.toCharArray()) {
          boolean plain = c >= ' ' && c < 127 && c != '"' && c != '\\';
          line.append(plain ? String.valueOf(c) : String.format("\\u%04x", (int) c));
        }
        line.append('"');
      }
      System.out.println(line.append('}'));
    }
  }

  // The server.

  /** One call at the server. Its timer is another thread. */
  private static class Served extends ServerCall.Listener<byte[]> {
    private final ServerCall<byte[], byte[]> call;
    private final Report report;
    private boolean over;
    private byte[] last = {};
    private int total;

    Served(String method, ServerCall<byte[], byte[]> call, Metadata metadata) {
      this.call = call;
      this.report = new Report(metadata.get(TRACEPARENT).substring(36, 52), method);
      if (!Arrays.equals(metadata.get(X_BINARY), BINARY)) throw new IllegalStateException("binary metadata");
      call.request(Integer.MAX_VALUE);
    }

    private synchronized void write(byte[] message) {
      if (over) return;
      if (report.sent == 0) call.sendHeaders(new Metadata());
      report.sent++;
      call.sendMessage(message);
    }

    private synchronized void end(Status status) {
      if (over) return;
      over = true;
      report.say(status.getCode().value(), status.getDescription(), null);
      call.close(status, new Metadata());
    }

    @Override
    public synchronized void onMessage(byte[] message) {
      report.received++;
      last = message;
      total += message.length;
      if (report.method.equals("Echo") || report.method.equals("Chat")) write(message);
    }

    @Override
    public void onHalfClose() {
      switch (report.method) {
        case "Collect" -> write(Integer.toString(total).getBytes());
        case "Count" -> {
          for (int n = 0; n < number(); n++) write(new byte[n * 3000]);
        }
        case "Fail" -> {
          end(Status.fromCodeValue(number()).withDescription("no such thing: 50% of \u2603"));
          return;
        }
        case "Slow" -> {
          TIMER.schedule(
              () -> {
                write(new byte[1]);
                end(Status.OK);
              },
              number(),
              TimeUnit.MILLISECONDS);
          return;
        }
        default -> {}
      }
      end(Status.OK);
    }

    private int number() {
      return Integer.parseInt(new String(last));
    }

    /** Of a call that the client has given up, the server knows no code. */
    @Override
    public synchronized void onCancel() {
      if (over) return;
      over = true;
      report.say(null, null, null);
    }
  }

  private static void serve(int port) throws Exception {
    ServerServiceDefinition.Builder service = ServerServiceDefinition.builder(SERVICE);
    for (String name : List.of("Echo", "Fail", "Slow", "Collect", "Count", "Chat")) {
      ServerCallHandler<byte[], byte[]> handler = (call, metadata) -> new Served(name, call, metadata);
      service.addMethod(method(name), handler);
    }
    NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port), InsecureServerCredentials.create())
        .addService(service.build())
        .build()
        .start()
        .awaitTermination();
  }

  // The client.

  private record Client(ManagedChannel channel) {
    /** Makes a call, and waits for its end. */
    void call(int marker, String method, CallOptions options, Integer cancelAfter, byte[]... messages) {
      Report report = new Report(String.format("%016x", marker), method);
      Metadata metadata = new Metadata();
      metadata.put(TRACEPARENT, String.format("00-%032x-%s-01", 1000 + marker, report.marker));
      metadata.put(X_BINARY, BINARY);
      CompletableFuture<Void> over = new CompletableFuture<>();
      long begun = System.nanoTime();
      ClientCall<byte[], byte[]> call = channel.newCall(method(method), options);
      ClientCall.Listener<byte[]> listener =
          new ClientCall.Listener<>() {
            @Override
            public void onMessage(byte[] message) {
              report.received++;
            }

            @Override
            public void onClose(Status status, Metadata trailers) {
              long took = System.nanoTime() - begun;
              report.sent = messages.length;
              report.say(status.getCode().value(), status.getDescription(), took);
              over.complete(null);
            }
          };
      call.start(listener, metadata);
      call.request(Integer.MAX_VALUE);
      for (byte[] message : messages) call.sendMessage(message);
      call.halfClose();
      if (cancelAfter != null) TIMER.schedule(() -> call.cancel("no more", null), cancelAfter, TimeUnit.MILLISECONDS);
      over.join();
    }

    void call(int marker, String method, byte[]... messages) {
      call(marker, method, CallOptions.DEFAULT, null, messages);
    }

    void kinds() {
      CallOptions options = CallOptions.DEFAULT;
      call(1, "Echo", new byte[10]);
      call(2, "Echo", new byte[100_000]);
      call(3, "Echo", options.withCompression("gzip"), null, new byte[5000]);
      for (int code = 1; code <= 16; code++) call(9 + code, "Fail", number(code));
      call(30, "Collect", new byte[1], new byte[0], new byte[70_000], new byte[3]);
      call(31, "Count", number(12));
      call(32, "Chat", new byte[1], new byte[0], new byte[40_000], new byte[3]);
      call(33, "Chat");
      call(40, "Slow", options.withDeadlineAfter(100, TimeUnit.MILLISECONDS), null, number(5000));
      call(41, "Slow", options, 50, number(5000));
      call(42, "Slow", options.withDeadlineAfter(10, TimeUnit.SECONDS), 50, number(5000));
      call(43, "Slow", options.withDeadlineAfter(5, TimeUnit.SECONDS), null, number(1));
      call(50, "Nothing", number(1));
    }
  }

  private static byte[] number(int n) {
    return Integer.toString(n).getBytes();
  }

  private static void ask(int port) throws Exception {
    int[][] rounds = {{1, 20, 1000}, {2, 20, 2000}, {8, 10, 3000}, {100, 3, 4000}};
    for (int[] round : rounds) {
      int each = round[1];
      // Each channel has a connection of its own.
      ManagedChannel channel =
          Grpc.newChannelBuilderForAddress("127.0.0.1", port, InsecureChannelCredentials.create()).build();
      Client client = new Client(channel);
      if (round[2] == 1000) client.kinds();
      ExecutorService pool = Executors.newFixedThreadPool(round[0]);
      List<Future<?>> streams = new ArrayList<>();
      for (int stream = 0; stream < round[0]; stream++) {
        int first = round[2] + stream * each;
        streams.add(
            pool.submit(
                () -> {
                  for (int n = 0; n < each; n++) client.call(first + n, "Echo", new byte[n]);
                }));
      }
      for (Future<?> stream : streams) stream.get();
      pool.shutdown();
      channel.shutdown().awaitTermination(10, TimeUnit.SECONDS);
    }
  }

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[1]);
    if (arguments[0].equals("server")) serve(port);
    else ask(port);
  }
}
