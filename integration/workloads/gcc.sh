# A compiler: programs in C and C++ with threads, a shared library, a parallel make, link-time optimisation.
mkdir /tmp/gcc
cd /tmp/gcc
cat >threads.c <<'C'
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
static atomic_int sum;
static sem_t done;
static void *add(void *n) { sum += (int)(long)n; sem_post(&done); return NULL; }
int main(void) {
  pthread_t threads[8];
  sem_init(&done, 0, 0);
  for (long n = 0; n < 8; n++) pthread_create(&threads[n], NULL, add, (void *)n);
  for (int n = 0; n < 8; n++) { sem_wait(&done); pthread_join(threads[n], NULL); }
  printf("%d\n", sum);
}
C
cat >modern.cpp <<'CPP'
#include <filesystem>
#include <future>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>
int main() {
  std::vector<std::future<int>> parts;
  for (int n = 0; n < 8; n++)
    parts.push_back(std::async(std::launch::async, [n] { if (n == 7) throw std::runtime_error("seven"); return n; }));
  int sum = 0;
  for (auto &part : parts) try { sum += part.get(); } catch (std::runtime_error &) { sum += 7; }
  std::filesystem::copy_file("modern.cpp", "copy.cpp");
  std::cout << sum << '\n';
}
CPP
gcc -O2 -Wall -Werror -flto -pthread threads.c -o threads
g++ -O2 -Wall -Werror -std=c++20 modern.cpp -o modern
[ "$(./threads) $(./modern)" = '28 28' ]
cmp modern.cpp copy.cpp
for n in $(seq 16); do echo "int f$n(int x) { return x + $n; }" >"f$n.c"; done
cat >Makefile <<'MAKE'
objects := $(patsubst %.c,%.o,$(wildcard f*.c))
libf.so: $(objects) ; $(CC) -shared -o $@ $^
%.o: %.c ; $(CC) -O2 -fPIC -c -o $@ $<
MAKE
make -s -j 4
printf 'int f16(int);\nint main(void) { return f16(26) == 42 ? 0 : 1; }\n' >main.c
gcc main.c -L. -lf -o main
LD_LIBRARY_PATH=. ./main
works
