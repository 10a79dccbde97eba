# A program on musl, the C library of Alpine, which asks the kernel where glibc asks the vDSO or falls back: memory that
# grows, clocks, threads, children, names, temporary files. It stays in the image, for the test that starts it.
cd /tmp
cat >program.c <<'C'
#include <assert.h>
#include <dirent.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void *work(void *lock) {
  pthread_mutex_lock(lock);
  pthread_mutex_unlock(lock);
  return lock;
}

int main(void) {
  // What Python asks at the start of every event loop.
  struct timespec resolution, now;
  assert(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0);
  assert(sysconf(_SC_NPROCESSORS_ONLN) > 0);

  char *grown = NULL;
  for (size_t size = 1 << 12; size <= 1 << 26; size <<= 1) {
    grown = realloc(grown, size);
    assert(grown != NULL);
    memset(grown + size / 2, 42, size / 2);
  }
  assert(grown[3000] == 42);
  free(grown);

  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_t threads[8];
  for (int n = 0; n < 8; n++) assert(pthread_create(&threads[n], NULL, work, &lock) == 0);
  for (int n = 0; n < 8; n++) assert(pthread_join(threads[n], NULL) == 0);

  pid_t child;
  int status;
  char *words[] = { "true", NULL };
  assert(posix_spawnp(&child, "true", NULL, NULL, words, environ) == 0);
  assert(waitpid(child, &status, 0) == child && status == 0);
  assert(system("exit 3") == 3 << 8);
  FILE *pipe = popen("echo piped", "r");
  char said[16];
  assert(fgets(said, sizeof said, pipe) && strcmp(said, "piped\n") == 0 && pclose(pipe) == 0);

  char name[] = "/tmp/musl-XXXXXX";
  int file = mkstemp(name);
  struct stat stat;
  assert(file >= 0 && write(file, "x", 1) == 1 && fsync(file) == 0 && fstat(file, &stat) == 0 && stat.st_size == 1);
  assert(unlink(name) == 0 && close(file) == 0);
  DIR *root = opendir("/");
  assert(root && readdir(root) && closedir(root) == 0);

  struct addrinfo *found;
  assert(getaddrinfo("localhost", "80", NULL, &found) == 0);
  struct rlimit files;
  assert(getrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0);
  assert(raise(SIGCHLD) == 0 && nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL) == 0);
  return 0;
}
C
musl-gcc -O1 -static -Wall program.c -o /usr/local/bin/musl-program
musl-program
works
