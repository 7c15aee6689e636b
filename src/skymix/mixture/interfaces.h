/* What module.c needs of two binary interfaces that do not change: Python's stable ABI, from 3.11 on,
 * and numpy's C API of version 2. Declared here, so that the kernel compiles where Python's own
 * headers are not installed. Sources: "C API Stability" in Python's manual, "Array API" in numpy's.
 */

#ifndef SKYMIX_INTERFACES_H
#define SKYMIX_INTERFACES_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t Py_ssize_t;
typedef struct PyTypeObject PyTypeObject;

typedef struct {
    Py_ssize_t references;
    PyTypeObject *type;
} PyObject;

typedef PyObject *(*PyCFunction)(PyObject *self, PyObject *argument);

typedef struct {
    const char *name;
    PyCFunction function;
    int flags;
    const char *doc;
} PyMethodDef;

enum { METH_VARARGS = 1, METH_NOARGS = 4, METH_O = 8 };

typedef struct {
    PyObject object;
    PyObject *(*init)(void);
    Py_ssize_t index;
    PyObject *copy;
    const char *name, *doc;
    Py_ssize_t size;
    PyMethodDef *methods;
    void *slots, *traverse, *clear, *free;
} PyModuleDef;

enum { PY_ABI = 3 };

typedef struct {
    int slot;
    void *function;
} PyType_Slot;

enum { Py_tp_dealloc = 52, Py_tp_methods = 64, Py_tp_new = 65 };

typedef struct {
    const char *name;
    int size, item_size;
    unsigned int flags;
    PyType_Slot *slots;
} PyType_Spec;

enum { Py_TPFLAGS_DEFAULT = 1 << 18 };

extern PyTypeObject PyTuple_Type;
extern PyObject _Py_NoneStruct;
extern PyObject *PyExc_ImportError, *PyExc_IndexError, *PyExc_MemoryError, *PyExc_TypeError,
    *PyExc_ValueError;

int PyArg_ParseTuple(PyObject *arguments, const char *format, ...);
PyObject *Py_BuildValue(const char *format, ...);
void *PyCapsule_GetPointer(PyObject *capsule, const char *name);
void PyErr_Format(PyObject *kind, const char *format, ...);
PyObject *PyErr_NoMemory(void);
PyObject *PyErr_Occurred(void);
void PyErr_SetString(PyObject *kind, const char *text);
void PyEval_RestoreThread(void *thread);
void *PyEval_SaveThread(void);
PyObject *PyImport_ImportModule(const char *name);
PyObject *PyLong_FromLongLong(long long value);
void PyMem_Free(void *memory);
void *PyMem_Malloc(size_t size);
int PyModule_AddType(PyObject *module, PyTypeObject *type);
PyObject *PyModule_Create2(PyModuleDef *definition, int abi);
void PyObject_Free(void *memory);
PyObject *PyObject_GetAttrString(PyObject *object, const char *name);
PyObject *PyTuple_GetItem(PyObject *tuple, Py_ssize_t i);
PyObject *PyType_FromSpec(PyType_Spec *spec);
PyObject *PyType_GenericAlloc(PyTypeObject *type, Py_ssize_t items);
int PyType_IsSubtype(PyTypeObject *type, PyTypeObject *base);
void Py_DecRef(PyObject *object);
PyObject *Py_NewRef(PyObject *object);

/* numpy's array and its type of entries, as far as they are read here. */
typedef struct {
    PyObject object;
    PyTypeObject *scalar;
    char kind, letter, byte_order, unused;
    int number;
} PyArray_Descr;

typedef struct {
    PyObject object;
    void *data;
    int ndim;
    Py_ssize_t *shape, *strides;
    PyObject *base;
    PyArray_Descr *type;
    int flags;
} PyArray;

enum { NPY_INT64 = sizeof(long) == 8 ? 7 : 9, NPY_FLOAT = 11, NPY_DOUBLE = 12 };
enum { NPY_C_CONTIGUOUS = 0x1, NPY_ALIGNED = 0x100, NPY_WRITEABLE = 0x400 };

/* Functions of numpy, from a table that it shares. */
typedef struct {
    PyTypeObject *array;
    PyArray_Descr *(*descr)(int type);
    PyObject *(*from_any)(PyObject *, PyArray_Descr *, int min, int max, int flags, PyObject *);
    PyObject *(*new)(PyTypeObject *, int ndim, const Py_ssize_t *shape, int type, const Py_ssize_t *,
                     void *, int, int, PyObject *);
} numpy_functions;

enum { NUMPY_ABI = 0x2000000 };

/* False with an exception if this numpy is of another version. */
static inline int import_numpy(numpy_functions *out)
{
    PyObject *module = PyImport_ImportModule("numpy._core._multiarray_umath");
    PyObject *capsule = module ? PyObject_GetAttrString(module, "_ARRAY_API") : 0;
    void **table = capsule ? PyCapsule_GetPointer(capsule, 0) : 0;
    if (!table)
        return 0;
    if (((unsigned int (*)(void))table[0])() != NUMPY_ABI) {
        PyErr_SetString(PyExc_ImportError, "the mixture kernel needs a numpy of version 2");
        return 0;
    }
    out->array = table[2];
    out->descr = table[45];
    out->from_any = table[69];
    out->new = table[93];
    return 1;
}

#endif
