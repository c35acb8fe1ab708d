#include "object.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct build_id_search {
	uintptr_t address;
	char *text;
	size_t text_bytes;
};

static size_t note_padded(size_t bytes)
{
	return (bytes + 3) & ~(size_t)3;
}

/* Finds the GNU build id among the notes of one segment. */
static void read_notes(const char *notes, size_t bytes, char *text, size_t text_bytes)
{
	while (bytes >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		size_t name_bytes, used;

		memcpy(&note, notes, sizeof(note));
		name_bytes = note_padded(note.n_namesz);
		used = sizeof(note) + name_bytes + note_padded(note.n_descsz);
		if (used > bytes)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + sizeof(note), "GNU", 4) == 0) {
			const char *id = notes + sizeof(note) + name_bytes;

			for (size_t i = 0; i < note.n_descsz && 2 * i + 3 <= text_bytes; i++)
				snprintf(text + 2 * i, 3, "%02x", (unsigned char)id[i]);
			return;
		}
		notes += used;
		bytes -= used;
	}
}

static bool segment_contains(const struct dl_phdr_info *info, uintptr_t address)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD &&
		    address - (info->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
			return true;
	}
	return false;
}

static int find_build_id(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	struct build_id_search *search = arg;

	(void)bytes;
	if (!segment_contains(info, search->address))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && search->text[0] == '\0'; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t notes = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_NOTE)
			read_notes((const char *)notes, segment->p_memsz, search->text,
				   search->text_bytes);
	}
	return 1;
}

int object_identify(const void *address, struct object_identity *identity)
{
	struct build_id_search search = {
		.address = (uintptr_t)address,
		.text = identity->build_id,
		.text_bytes = sizeof(identity->build_id),
	};
	Dl_info info;

	if (!dladdr(address, &info) || !info.dli_fname)
		return -ENOENT;
	snprintf(identity->path, sizeof(identity->path), "%s", info.dli_fname);
	identity->build_id[0] = '\0';
	dl_iterate_phdr(find_build_id, &search);
	return 0;
}

bool object_contains(void *handle, const void *address)
{
	struct link_map *named = NULL, *found = NULL;
	Dl_info info;

	return dlinfo(handle, RTLD_DI_LINKMAP, &named) == 0 &&
	       dladdr1(address, &info, (void **)&found, RTLD_DL_LINKMAP) && found == named;
}
