#pragma once

/// The commit that the program was built from, with blanks around it; nothing but blanks where nobody has said so.
const char *sluice_revision(void);
