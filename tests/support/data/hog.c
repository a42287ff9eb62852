// hog MIB [THREADS [MS]]: touch MIB mebibytes, shared out among THREADS threads (1 by default), then sleep for ever. MS:
// milliseconds to wait after each mebibyte.
// Exit code 2: it could not get the memory by asking (which is not an OOM kill).
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t bytes_each;
static long pause_ms;

static void *touch(void *unused)
{
	(void)unused;
	long page = sysconf(_SC_PAGESIZE);
	volatile char *memory =
		mmap(NULL, bytes_each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(2);
	for (size_t at = 0; at < bytes_each; at += page) {
		memory[at] = 1;
		if (pause_ms && at % (1 << 20) == 0)
			usleep(pause_ms * 1000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long mebibytes = argc > 1 ? atol(argv[1]) : 0;
	long threads = argc > 2 ? atol(argv[2]) : 1;
	pause_ms = argc > 3 ? atol(argv[3]) : 0;

	if (mebibytes > 0 && threads > 0) {
		bytes_each = ((size_t)mebibytes << 20) / threads;
		for (long i = 1; i < threads; i++) {
			pthread_t thread;
			if (pthread_create(&thread, NULL, touch, NULL))
				_exit(2);
		}
		touch(NULL);
	}
	for (;;)
		pause();
}
